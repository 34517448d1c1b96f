import { startServiceProcess, type ServiceProcess } from "@genga/testing";
import { z } from "zod";

/** Servers that do nothing, in one process (`null-servers-main.ts`). */
export interface NullServers extends ServiceProcess {
  readonly urls: readonly string[];
  /** The requests to all of them so far, by method and first part of the path. */
  requests(): Promise<Map<string, number>>;
}

export async function startNullServers(servers: number): Promise<NullServers> {
  const service = await startServiceProcess({
    entry: "benchmarks/support/null-servers-main.ts",
    args: ["--servers", String(servers)],
    env: {},
  });
  const urls = String(service.details["urls"]).split(",");
  return {
    ...service,
    urls,
    requests: async () => {
      const answer = await (await fetch(`${urls[0] ?? ""}/null-requests`)).json();
      return new Map(Object.entries(z.record(z.string(), z.number()).parse(answer)));
    },
  };
}
