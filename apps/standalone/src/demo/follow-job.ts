import { setTimeout as delay } from "node:timers/promises";
import { RefusedByApi, type ApiClient, type JobState } from "./api-client.ts";

const retryEveryMs = 1_000;
/** How often to ask why a job waits, since that reason changes without an event of the job. */
const whyItWaitsEveryMs = 2_000;

/**
 * Follows a job to its end, by its event stream and by requests. If the stream breaks (the API may be restarting), it
 * is opened again; each stream begins with the job's present state.
 *
 * @throws RefusedByApi when there is no such job
 */
export async function followJob(
  client: ApiClient,
  jobId: string,
  onChange: (job: JobState) => void,
  signal: AbortSignal,
): Promise<JobState> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const job = await followOnce(client, jobId, onChange, signal);
      if (hasEnded(job)) return job;
    } catch (error) {
      // A job that does not exist will not appear later; every other error may come from a restart of the API.
      if (error instanceof RefusedByApi && error.status < 500) throw error;
    }
    await delay(retryEveryMs, undefined, { signal });
  }
}

/** Resolves with the job when it has ended, or when the stream has ended. */
async function followOnce(
  client: ApiClient,
  jobId: string,
  onChange: (job: JobState) => void,
  signal: AbortSignal,
): Promise<JobState> {
  const stream = new AbortController();
  let job: JobState | undefined;
  const show = (next: JobState): void => {
    job = next;
    onChange(next);
  };
  const whyItWaits = setInterval(() => {
    if (job?.status !== "queued") return;
    // If the API cannot be reached, the stream shows it as well.
    client.getJob(jobId, stream.signal).then(show, () => undefined);
  }, whyItWaitsEveryMs);
  try {
    for await (const change of client.changes(jobId, AbortSignal.any([signal, stream.signal]))) {
      if (change.kind === "snapshot") show(change.job);
      else if (change.kind === "ask-again" || job === undefined) show(await client.getJob(jobId, signal));
      else show({ ...job, status: "processing", ...change.progress });
      if (job !== undefined && hasEnded(job)) break;
    }
    // The final state comes from the API, because the stream has no outputs.
    show(await client.getJob(jobId, signal));
    return job ?? (await client.getJob(jobId, signal));
  } finally {
    clearInterval(whyItWaits);
    stream.abort();
  }
}

function hasEnded({ status }: JobState): boolean {
  return status !== "queued" && status !== "processing";
}
