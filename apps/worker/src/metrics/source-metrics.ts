import { Gauge, type Registry } from "prom-client";

/** What is measured of the sources of this worker's servers. */
interface MeasuredSources {
  readonly servers: readonly { readonly source: string }[];
  readonly fileProblem: string | null;
  readonly unresolvedNames: number;
}

export function registerSourceMetrics(registry: Registry, sources: MeasuredSources): void {
  const named = new Gauge({
    ...{ name: "genga_servers_named", help: "Servers that the sources of this worker name, by source." },
    ...{ labelNames: ["source"] as const, registers: [registry] },
    collect: () => {
      for (const source of ["setting", "file", "api"]) {
        named.set({ source }, sources.servers.filter((server) => server.source === source).length);
      }
    },
  });
  const isBad = new Gauge({
    name: "genga_servers_file_bad",
    help: "1 while this worker uses the last good servers file, since it cannot use the present one.",
    registers: [registry],
    collect: () => {
      isBad.set(Number(sources.fileProblem !== null));
    },
  });
  const unresolved = new Gauge({
    name: "genga_server_names_unresolved",
    help: "Names that stand for several servers and could not be resolved last; their known addresses count.",
    registers: [registry],
    collect: () => {
      unresolved.set(sources.unresolvedNames);
    },
  });
}
