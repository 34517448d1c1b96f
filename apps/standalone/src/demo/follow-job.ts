import { setTimeout as delay } from "node:timers/promises";
import { RefusedByApi, type ApiClient, type JobState } from "./api-client.ts";

const retryEveryMs = 1_000;
/** The reason for which a job waits changes without an event of that job. */
const whyItWaitsEveryMs = 2_000;

/**
 * Follows a job until it has ended: by its event stream, and by asking. When the stream breaks (the API may be
 * restarting), it is opened again; each begins with the job as it is.
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
      // A job that is not there will not come; everything else may be a restart of the API.
      if (error instanceof RefusedByApi && error.status < 500) throw error;
    }
    await delay(retryEveryMs, undefined, { signal });
  }
}

/** Resolves with the job as it is when it has ended, or when the stream has. */
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
    // A failure to ask shows in the stream as well.
    client.getJob(jobId, stream.signal).then(show, () => undefined);
  }, whyItWaitsEveryMs);
  try {
    for await (const change of client.changes(jobId, AbortSignal.any([signal, stream.signal]))) {
      if (change.kind === "snapshot") show(change.job);
      else if (change.kind === "look" || job === undefined) show(await client.getJob(jobId, signal));
      else show({ ...job, status: "processing", ...change.progress });
      if (job !== undefined && hasEnded(job)) break;
    }
    // The last word is the API's, with the outputs in it.
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
