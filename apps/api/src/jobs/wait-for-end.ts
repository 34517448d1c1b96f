import { isTerminal, type EventFeed, type Job, type TenantJobReader } from "@genga/jobs";
import { type Response } from "express";
import { z } from "zod";
import { foundJob } from "./found-jobs.ts";
import { WakeUp } from "./wake-up.ts";
import { endings } from "./watch-job.ts";

/** The database is asked again after so long, in case no signal arrives. */
const lookEveryMs = 5_000;

const unitsMs = { ms: 1, s: 1_000, m: 60_000 } as const;

/** Up to 2 minutes: proxies cut requests that are quiet for longer. */
export const waitPattern =
  "^([1-9][0-9]{0,4}ms|1[01][0-9]{4}ms|120000ms|[1-9][0-9]?s|1[01][0-9]s|120s|[12]m)$";

/** `30s`, `1500ms`, `2m`, in milliseconds. */
export const waitSchema = z
  .string()
  .regex(new RegExp(waitPattern), { error: "must be a time up to 2 minutes, such as 30s, 1500ms or 2m" })
  .transform((text) => {
    const unit = text.replace(/^\d+/, "") as keyof typeof unitsMs;
    return Number.parseInt(text, 10) * unitsMs[unit];
  });

export interface WaitParts {
  feed: Pick<EventFeed, "watchJob">;
  jobs: TenantJobReader;
}

/** Aborted when the client has left. */
export function leftSignal(response: Response): AbortSignal {
  const left = new AbortController();
  const leave = (): void => {
    left.abort();
  };
  if (response.closed) leave();
  else response.once("close", leave);
  return left.signal;
}

/** Aborted when the client has left, or the process stops. */
export function leftOrStopping(response: Response, stopping: AbortSignal): AbortSignal {
  const left = new AbortController();
  const leave = (): void => {
    left.abort();
  };
  if (response.closed || stopping.aborted) leave();
  response.once("close", leave);
  // Not `AbortSignal.any`, of which a signal as old as the process would remember something for each request.
  stopping.addEventListener("abort", leave, { signal: left.signal });
  return left.signal;
}

/**
 * Waits until a job has ended, however often it is tried, or until the time is up or the signal is aborted.
 * @returns the job as it is then
 * @throws JobNotFoundError, JobRemovedError it was removed meanwhile  @throws StoreUnavailableError
 */
export async function waitForEnd(
  job: Job,
  { feed, jobs }: WaitParts,
  { ms, signal }: { ms: number; signal: AbortSignal },
): Promise<Job> {
  if (isTerminal(job.status)) return job;
  const until = performance.now() + ms;
  const wakeUp = new WakeUp();
  const { outbox, end } = feed.watchJob(job.id, {
    afterSequence: job.eventSequence,
    listEvents: (after, limit) => jobs.listEvents(job.id, after, limit),
    onNews: () => {
      wakeUp.wake();
    },
  });
  try {
    let current = job;
    while (!isTerminal(current.status) && !signal.aborted && performance.now() < until) {
      const event = await outbox.take();
      if (event !== null) {
        if (endings.has(event.type)) current = await foundJob(jobs, job.id);
        continue;
      }
      if (outbox.hasNews) continue;
      const isNews = await wakeUp.rest(Math.min(until - performance.now(), lookEveryMs), signal);
      if (!isNews) current = await foundJob(jobs, job.id);
    }
    return isTerminal(current.status) ? current : await foundJob(jobs, job.id);
  } finally {
    end();
  }
}
