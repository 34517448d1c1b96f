import { canRun, ComfyUIError } from "@genga/comfyui";
import { type JobRuns, retiredServerIds, type ServerRecord, type ServerStore } from "@genga/jobs";
import { missingLabels, type DefinitionsStore } from "@genga/workflows";
import { type JobServer } from "./job-server.ts";
import { type Run } from "./run.ts";

/** After so many refusals the job fails, whatever the definitions of other servers say. */
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
 * The refusal that a server's answer 500 to a POST stands for, if the server does not have the prompt: newer servers
 * answer so to graphs that older ones accept or refuse with an explanation (PROTOCOL-0.28 1 and 6). It may also be a passing fault.
 */
export function unexplainedRefusal(cause: ComfyUIError): ComfyUIError {
  const message = `The server cannot deal with the graph, and does not say why. ${cause.message}`;
  return new ComfyUIError("prompt_refused", message, { cause, httpStatus: cause.httpStatus });
}

function isUnexplained(error: unknown): boolean {
  return error instanceof ComfyUIError && error.httpStatus === 500;
}

/**
 * Whether a job that its server refused is worth another try. The server's definitions are read again first. Another try
 * is worth it if a known server can run the graph and has not refused it yet, or if this server still claims that it can
 * and has refused it only once. A refusal without an explanation says nothing about the graph, so the job is tried a few
 * times more.
 * @throws RunStopped @throws StoreUnavailableError
 */
export async function isWorthAnotherTry(
  run: Run,
  server: JobServer,
  error: unknown,
  options: RefusalOptions,
): Promise<boolean> {
  const { runs, definitions: known } = options;
  const { workflow } = run;
  const definitions = await server.readDefinitionsAgain(run.stopSignal);
  const refusedBy = await earlierRefusals(run, runs);
  if (refusedBy.length + 1 >= refusalsMax) return false;
  if (isUnexplained(error)) return true;
  if (!refusedBy.includes(server.url) && canRun(workflow, definitions)) return true;
  for (const other of await configuredServers(options)) {
    if (other.id === server.id || other.definitionsHash === null || refusedBy.includes(other.url)) continue;
    if (missingLabels(run.leased.job.requires, other.labels).length > 0) continue;
    const others = await known.find(other.definitionsHash);
    if (others !== null && canRun(workflow, others)) return true;
  }
  return false;
}

/** All servers but the retired ones, on which nothing will ever run. */
async function configuredServers({ servers, leaseMs, retireMs }: RefusalOptions): Promise<ServerRecord[]> {
  const [records, workers] = await Promise.all([
    servers.listServers(),
    servers.listRecentWorkers(leaseMs, retireMs),
  ]);
  const retired = retiredServerIds(records, workers);
  return records.filter(({ id }) => !retired.has(id));
}

/** The servers that refused the job since it was accepted, or since its last retry on request. */
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
