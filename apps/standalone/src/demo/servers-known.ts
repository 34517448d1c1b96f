import { setTimeout as delay } from "node:timers/promises";
import { GengaClient } from "@genga/client";
import { type Everything } from "../services/everything.ts";

export interface WaitingOptions {
  readonly everything: Pick<Everything, "apiUrl" | "apiKey" | "comfyuiUrls">;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

const timeoutMs = 30_000;
/** A wait shorter than this is not reported. */
const silenceMs = 1_500;

/**
 * The API judges jobs by what the servers can run. A worker reads the servers' definitions within a second or two. This
 * function waits for that, prints the servers for which it waits, and prints and skips a server that does not answer.
 */
export async function untilServersAreKnown(options: WaitingOptions): Promise<void> {
  const { everything, signal, say } = options;
  const client = new GengaClient({ baseUrl: everything.apiUrl, apiKey: everything.apiKey });
  const beganAt = performance.now();
  let hasSaid = false;
  for (;;) {
    const { data } = await client.http.GET("/api/anime/servers", { signal });
    const servers = data?.servers ?? [];
    const unknown = everything.comfyuiUrls.filter((url) => !servers.some((s) => s.url === url && s.isKnown));
    if (unknown.length === 0) return;
    const waitedMs = performance.now() - beganAt;
    if (waitedMs > timeoutMs) {
      for (const url of unknown) {
        const server = servers.find((each) => each.url === url);
        say(`${url} is ${server?.state ?? "unknown"}: ${server?.stateReason ?? "it has not answered"}`);
      }
      return;
    }
    if (waitedMs > silenceMs && !hasSaid) {
      hasSaid = true;
      say(`waiting to learn what ${unknown.join(", ")} can run`);
    }
    await delay(100, undefined, { signal });
  }
}
