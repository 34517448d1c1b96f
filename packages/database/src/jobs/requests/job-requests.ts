import {
  ExtraDataNeededError,
  IllegalTransitionError,
  isTerminal,
  mayBeRetried,
  type CancelOptions,
  type CancelResult,
  type Job,
  type SealForJob,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { cancelQueued, noteRequests } from "./cancel-jobs.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { type QueueLimit } from "../accepting/queue-room.ts";
import { findJob } from "../reading/find-jobs.ts";
import { passOnNow } from "../dependencies/pass-on-ends.ts";
import { restartJobs } from "./restart-jobs.ts";
import { restartWithDependents } from "./restart-with-dependents.ts";

/**
 * A queued job is cancelled at once. On a processing job the request is recorded for its worker, once. An ended job
 * does not change, nor does one that runs if only waiting ones are meant.
 */
export async function requestCancel(
  database: PrismaClient,
  id: string,
  by: string | undefined,
  { onlyWaiting = false }: CancelOptions = {},
): Promise<CancelResult | "removed" | null> {
  if (!isUuid(id)) return null;
  for (;;) {
    const [ended] = await cancelQueued(database, { jobId: id }, by);
    if (ended !== undefined) {
      const { job, event, hasDependents } = ended;
      const passedOn = hasDependents ? { passedOn: await passOnNow(database, [id]) } : {};
      return { outcome: "cancelled", job, event, ...passedOn };
    }
    const [noted] = await noteRequests(database, { jobId: id }, by, { onlyWaiting });
    if (noted !== undefined) return { outcome: "requested", job: noted.job, event: noted.event };
    const job = await findJob(database, id);
    if (job === null || job === "removed") return job;
    if (isTerminal(job.status)) return { outcome: "ended", job };
    if (job.cancelRequestedAt !== null) return { outcome: "requested", job, event: null };
    if (onlyWaiting && job.status === "processing") return { outcome: "running", job };
    // The job was requeued or claimed between these statements, so they are tried again.
  }
}

/**
 * Queues the job again at the end of its tenant's queue, and with it the jobs that failed because of it. Counters and
 * the failure are cleared, the history stays.
 */
export async function retryJob(
  database: PrismaClient,
  id: string,
  limit: QueueLimit,
  seal: SealForJob | undefined,
  by: string | undefined,
): Promise<Job | "removed" | null> {
  const before = await findJob(database, id);
  if (before === null || before === "removed") return before;
  if (!mayBeRetried(before.status)) {
    throw new IllegalTransitionError(before.status, "queued");
  }
  const more = await database.job.findUnique({
    where: { id },
    select: { hasExtraData: true, hasDependents: true },
  });
  if (more?.hasExtraData === true && seal === undefined) throw new ExtraDataNeededError(1);
  const ended = { ...before, ...(seal !== undefined && { sealedExtraData: seal(before.id) }) };
  const isLinked = more?.hasDependents === true || before.openDependencies > 0;
  const all = isLinked
    ? await restartWithDependents(database, [ended], [before.status], { limit, by, mustRestart: true })
    : await restartJobs(database, [ended], [before.status], { limit, by });
  const restarted = all.find((job) => job.id === id);
  if (restarted !== undefined) return restarted;
  const after = await findJob(database, id);
  if (after === null || after === "removed") return after;
  throw new IllegalTransitionError(after.status, "queued");
}
