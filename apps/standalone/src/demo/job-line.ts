import { type JobState } from "./api-client.ts";

/** The state of a job in a few words: the node and step, why it waits, why it failed. */
export function describe(job: JobState): string {
  switch (job.status) {
    case "queued":
      return describeWaiting(job);
    case "processing":
      return describePhase(job);
    case "completed":
      return "completed";
    case "failed":
    case "timeout":
    case "cancelled":
      return job.failure === null ? job.status : `${job.status}: ${job.failure.message}`;
  }
}

function describeWaiting({ attempt, failure, waitingFor }: JobState): string {
  if (attempt > 0 && failure !== null) return `waits again: ${failure.message}`;
  return `waits${waitingFor ? `: ${waitingFor.message}` : ""}`;
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
