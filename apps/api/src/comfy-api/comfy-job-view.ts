import { isTerminal, type Job, type JobFailure, type JobOutput, type JobProgress } from "@genga/jobs";
import { type Sight } from "../access/sight.ts";
import { comfyApiPrefix } from "../http/paths.ts";
import { expiryOfEnded, viewOfComfyOutput, type AssetSurroundings } from "./asset-view.ts";

/** What jobs that are kept for ever are said to be kept until: the contract has no other word for it. */
const forEver = "9999-12-31T23:59:59.000Z";

export type ComfyStatus =
  "queued" | "running" | "succeeded" | "canceling" | "canceled" | "failed" | "expired";

/** A job's state in the words of the Comfy API v2. */
export function comfyStatusOf({
  status,
  cancelRequestedAt,
}: Pick<Job, "status" | "cancelRequestedAt">): ComfyStatus {
  switch (status) {
    case "queued":
    case "processing":
      if (cancelRequestedAt !== null) return "canceling";
      return status === "queued" ? "queued" : "running";
    case "completed":
      return "succeeded";
    case "cancelled":
      return "canceled";
    case "failed":
      return "failed";
    case "timeout":
      return "expired";
  }
}

/** What a job's view needs beside the job. */
export interface ComfyJobSurroundings extends AssetSurroundings {
  sight: Sight;
  /** The path below which the client reaches this API. */
  basePath: string;
  /** Of a job that has completed. */
  outputs: readonly JobOutput[];
  /** The tenant's own jobs that come first; `null` for a job that does not wait. */
  queuePosition: number | null;
  /** The class of the node that runs; `null` = none, or it is not known. */
  nodeClass: string | null;
  /** The failure of its last attempt, which has the traceback if the job failed by it; `null` = there is none. */
  failure: JobFailure | null;
}

export function viewOfComfyJob(job: Job, surroundings: ComfyJobSurroundings): Record<string, unknown> {
  const { outputs, queuePosition, nodeClass, basePath, keeping } = surroundings;
  const isDone = job.status === "completed";
  const links = `${basePath}${comfyApiPrefix}/jobs/${job.id}`;
  return {
    ...{ id: job.id, status: comfyStatusOf(job) },
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    completed_at: job.finishedAt?.toISOString() ?? null,
    expires_at: expiryOf(job, keeping.retention),
    queue_position: queuePosition,
    progress: job.status === "queued" ? null : comfyProgressOf(job.progress, { nodeClass, isDone }),
    outputs: outputs.map((output) => viewOfComfyOutput(output, surroundings)),
    error: errorOf(job, surroundings),
    metrics: {
      queue_ms: between(job.createdAt, job.startedAt),
      execution_ms: between(job.startedAt, job.finishedAt),
    },
    // Without the origin: a client may know this API under another name than we do, and sends its key to that one only.
    urls: { self: links, events: `${links}/events`, cancel: `${links}/cancel` },
  };
}

/** @param about.isDone the job has completed, whatever was reported last */
export function comfyProgressOf(
  progress: JobProgress,
  { nodeClass, isDone = false }: { nodeClass: string | null; isDone?: boolean },
): Record<string, unknown> {
  const { percent, node, nodeTitle, step, steps, nodesDone, nodesTotal } = progress;
  const [at, of] = [whole(step), whole(steps)];
  const said = [nodeTitle, at === null || of === null ? null : `${at}/${of}`].filter((part) => part !== null);
  return {
    value: isDone ? 1 : Math.min(Math.max(percent / 100, 0), 1),
    nodes_done: (isDone ? whole(nodesTotal) : whole(nodesDone)) ?? 0,
    nodes_total: whole(nodesTotal) ?? 0,
    ...{ current_node: node, current_node_class: nodeClass, step: at, steps: of },
    message: said.length === 0 ? null : said.join(" "),
  };
}

/** A job that goes on will be kept for at least as long from now. */
function expiryOf({ finishedAt }: Job, retention: AssetSurroundings["keeping"]["retention"]): string {
  return expiryOfEnded(finishedAt ?? new Date(), retention)?.toISOString() ?? forEver;
}

function errorOf(job: Job, { sight, failure }: ComfyJobSurroundings): Record<string, unknown> | null {
  if (job.failure === null || !isTerminal(job.status) || job.status === "completed") return null;
  // A job may also end after its last attempt, while it waits for the next one, and for another reason.
  const details = failure?.code === job.failure.code ? failure : undefined;
  const said = { ...details, ...job.failure };
  const lines = said.traceback ?? [];
  return {
    code: said.class === "execution" ? "node_execution_error" : said.code.replaceAll("-", "_"),
    message: sight.text(said.exceptionMessage ?? said.message),
    ...{ node_id: said.nodeId ?? null, class_type: said.nodeType ?? null },
    traceback: lines.length === 0 ? null : sight.text(lines.join("\n")),
  };
}

function between(from: Date | null, to: Date | null): number | null {
  return from === null || to === null ? null : Math.max(to.getTime() - from.getTime(), 0);
}

function whole(number: number | null): number | null {
  return number === null ? null : Math.trunc(number);
}
