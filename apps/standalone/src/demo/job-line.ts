import { type JobDetail } from "@genga/client";

/** The fields of a job that its line shows. */
export interface JobState extends Pick<JobDetail, "status" | "phase" | "attempt"> {
  readonly progress: Omit<JobDetail["progress"], "nodesDone" | "nodesTotal">;
  readonly failure: { readonly message: string } | null;
  /** The reason why the job waits. */
  readonly waitingFor?: { readonly message: string } | null;
  /** When it will probably end; only if jobs like it were measured. */
  readonly eta?: { readonly endsAt: { readonly low: string; readonly high: string } } | null;
}

/** The state of a job in a few words: the node and step, why it waits, why it failed. */
export function describe(job: JobState): string {
  switch (job.status) {
    case "queued":
      return describeWaiting(job);
    case "processing":
      return `${describePhase(job)}${describeRemaining(job.progress)}`;
    case "completed":
      return "completed";
    case "failed":
    case "timeout":
    case "cancelled":
      return job.failure === null ? job.status : `${job.status}: ${job.failure.message}`;
  }
}

function describeWaiting({ attempt, failure, waitingFor, eta }: JobState): string {
  if (attempt > 0 && failure !== null) return `waits again: ${failure.message}`;
  const ends = eta ? `, ends in ${secondsUntil(eta.endsAt.low)}–${secondsUntil(eta.endsAt.high)} s` : "";
  return `waits${ends}${waitingFor ? `: ${waitingFor.message}` : ""}`;
}

function secondsUntil(moment: string): number {
  return Math.max(Math.round((Date.parse(moment) - Date.now()) / 1000), 0);
}

function describeRemaining({ remainingLowMs: low, remainingHighMs: high }: JobState["progress"]): string {
  return low === null || high === null
    ? ""
    : `, ${(low / 1000).toFixed(1)}–${(high / 1000).toFixed(1)} s left`;
}

function describePhase({ phase, progress }: JobState): string {
  if (phase === "submitted") return "waits on the server";
  if (phase === "saving") return "saving the files";
  const node = progress.nodeTitle ?? progress.node;
  if (node === null) return "starting";
  return progress.step === null || progress.steps === null
    ? node
    : `${node}, step ${progress.step}/${progress.steps}`;
}

/** A bar of `width` characters, such as `█████░░░░░`. */
export function bar(percent: number, width: number): string {
  const filled = Math.round((Math.min(Math.max(percent, 0), 100) / 100) * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}
