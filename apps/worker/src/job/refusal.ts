import { canRun, ComfyUIError } from "@genga/comfyui";
import { type JobRuns, retiredServerIds, type ServerRecord, type ServerStore } from "@genga/jobs";
import { type DefinitionsStore } from "@genga/workflows";
import { type OwnedServer } from "../servers/owned-server.ts";
import { type Run } from "./run.ts";

/** So many refusals are believed, whatever the definitions say. */
const refusalsMax = 5;

export interface RefusalOptions {
  runs: Pick<JobRuns, "listAttempts">;
  servers: Pick<ServerStore, "listServers" | "listRecentWorkers">;
  definitions: Pick<DefinitionsStore, "find">;
  /** A worker that was not seen for this long counts as dead. */
  leaseMs: number;
  /** A server that no worker seen within this time names is retired. */
  retireMs: number;
}

export function isRefusal(error: unknown): boolean {
  return error instanceof ComfyUIError && error.code === "prompt_refused";
}

/**
 * A server answered a POST with a 500, and does not have the prompt: newer ones do so to graphs that older ones take or
 * refuse in words (PROTOCOL-0.28 1 and 6). It may also be a fault of the moment.
 */
export function stumbled(cause: ComfyUIError): ComfyUIError {
  const message = `The server cannot deal with the graph, and does not say why. ${cause.message}`;
  return new ComfyUIError("prompt_refused", message, { cause, httpStatus: cause.httpStatus });
}

function isStumble(error: unknown): boolean {
  return error instanceof ComfyUIError && error.httpStatus === 500;
}

/**
 * A server refused a graph that fits its definitions, as far as we knew them. They are read again; then the job is worth
 * another try if a known server can run it that has not refused it yet, or if this one still claims that it can and has
 * refused it only once. A server that stumbled over it says nothing about the graph: it is tried a few times.
 * @throws RunStopped @throws StoreUnavailableError
 */
export async function isWorthAnotherTry(
  run: Run,
  server: OwnedServer,
  error: unknown,
  options: RefusalOptions,
): Promise<boolean> {
  const { runs, definitions: known } = options;
  const { workflow } = run;
  const definitions = await server.readDefinitionsAgain(run.stopSignal);
  const refusedBy = await earlierRefusals(run, runs);
  if (refusedBy.length + 1 >= refusalsMax) return false;
  if (isStumble(error)) return true;
  if (!refusedBy.includes(server.url) && canRun(workflow, definitions)) return true;
  for (const other of await configuredServers(options)) {
    if (other.id === server.id || other.definitionsHash === null || refusedBy.includes(other.url)) continue;
    const others = await known.find(other.definitionsHash);
    if (others !== null && canRun(workflow, others)) return true;
  }
  return false;
}

/** Without the retired ones, on which nothing will ever run. */
async function configuredServers({ servers, leaseMs, retireMs }: RefusalOptions): Promise<ServerRecord[]> {
  const [records, workers] = await Promise.all([
    servers.listServers(),
    servers.listRecentWorkers(leaseMs, retireMs),
  ]);
  const retired = retiredServerIds(records, workers);
  return records.filter(({ id }) => !retired.has(id));
}

/** Who refused it since it was accepted, or since it was last asked for again: attempts before that have ended the job. */
async function earlierRefusals(run: Run, runs: RefusalOptions["runs"]): Promise<string[]> {
  const urls: string[] = [];
  for (const attempt of (await runs.listAttempts(run.jobId)).reverse()) {
    if (attempt.number >= run.leased.attempt) continue;
    if (attempt.outcome !== "requeued") break;
    if (attempt.failure?.code === refusalCode) urls.push(attempt.serverUrl);
  }
  return urls;
}

/** How `failureOf` names it. */
const refusalCode = "prompt-refused";
