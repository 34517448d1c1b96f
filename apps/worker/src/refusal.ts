import { ComfyUIError, type ObjectInfo, objectInfoSchema, validateGraph } from "@genga/comfyui";
import { type JobStore, type ServerStore } from "@genga/jobs";
import { type OwnedServer } from "./owned-server.ts";
import { type Run } from "./run.ts";

/** So many refusals are believed, whatever the definitions say. */
const refusalsMax = 5;

export interface RefusalOptions {
  store: Pick<JobStore, "listAttempts">;
  servers: Pick<ServerStore, "listServers" | "findDefinitions">;
}

export function isRefusal(error: unknown): boolean {
  return error instanceof ComfyUIError && error.code === "prompt_refused";
}

/**
 * A server refused a graph that fits its definitions, as far as we knew them. They are read again; then the job is worth
 * another try if a known server can run it that has not refused it yet, or if this one still claims that it can and has
 * refused it only once.
 * @throws RunStopped @throws StoreUnavailableError
 */
export async function isWorthAnotherTry(
  run: Run,
  server: OwnedServer,
  { store, servers }: RefusalOptions,
): Promise<boolean> {
  const definitions = await server.readDefinitionsAgain(run.stopSignal);
  const refusedBy = await earlierRefusals(run, store);
  if (refusedBy.length + 1 >= refusalsMax) return false;
  if (!refusedBy.includes(server.url) && canRun(run, definitions)) return true;
  for (const other of await servers.listServers()) {
    if (other.id === server.id || other.definitionsHash === null || refusedBy.includes(other.url)) continue;
    const stored = await servers.findDefinitions(other.definitionsHash);
    if (stored !== null && canRun(run, objectInfoSchema.parse(stored))) return true;
  }
  return false;
}

function canRun(run: Run, definitions: ObjectInfo): boolean {
  return validateGraph(run.leased.workflow, definitions).errors.length === 0;
}

/** Who refused it since it was accepted, or since it was last asked for again: attempts before that have ended the job. */
async function earlierRefusals(run: Run, store: RefusalOptions["store"]): Promise<string[]> {
  const urls: string[] = [];
  for (const attempt of (await store.listAttempts(run.jobId)).reverse()) {
    if (attempt.number >= run.leased.attempt) continue;
    if (attempt.outcome !== "requeued") break;
    if (attempt.failure?.code === refusalCode) urls.push(attempt.serverUrl);
  }
  return urls;
}

/** How `failureOf` names it. */
const refusalCode = "prompt-refused";
