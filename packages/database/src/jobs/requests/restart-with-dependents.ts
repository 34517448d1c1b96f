import {
  defaultLane,
  NeededJobEndedError,
  StoreUnavailableError,
  type Job,
  type TerminalStatus,
} from "@genga/jobs";
import { repeatConflicts } from "../../connection/repeat-conflicts.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { recount, takeRoom } from "../accepting/queue-room.ts";
import { reserveRanks } from "../ranks/reserve-ranks.ts";
import { useKnownLanes } from "../../lanes/remove-lanes.ts";
import {
  readJobsBelow,
  restartable,
  rowsOf,
  type JobsBelow,
  type Retryable,
} from "../dependencies/jobs-below.ts";
import { rankedRow, restartRows, type EndedJob, type Restart } from "./restart-jobs.ts";

const transactionLimits = { timeout: 30_000, maxWait: 5_000 };

/** Others may change the jobs below between two readings, and take the tenant's room. */
const triesMax = 5;

/**
 * Queues ended jobs of one tenant again, and the jobs that failed because of them. A job whose needed job stays ended
 * without success stays as it is.
 * @param options.mustRestart the jobs are one, and a refusal says why it cannot be queued again
 * @throws NeededJobEndedError
 * @throws LimitReachedError when the tenant's queue has no room for all of them
 */
export async function restartWithDependents(
  database: PrismaClient,
  jobs: EndedJob[],
  statuses: readonly TerminalStatus[],
  { limit, by, mustRestart }: Restart & { mustRestart: boolean },
): Promise<Job[]> {
  const [first] = jobs;
  if (first === undefined) return [];
  const { tenantId } = first;
  const sealedOf = new Map(jobs.map((job) => [job.id, job]));
  const ids = [...sealedOf.keys()];
  const mayRestart = ({ id, status, hasExtraData }: Retryable): boolean => {
    const asked = sealedOf.get(id);
    if (asked === undefined) return !hasExtraData;
    return statuses.some((one) => one === status) && (!hasExtraData || asked.sealedExtraData !== undefined);
  };
  for (let tries = 1; tries <= triesMax; tries += 1) {
    const seen = await readJobsBelow(database, ids);
    const { ids: wanted } = restartable(seen, mayRestart);
    const ended = [...seen.asked, ...seen.below].filter(({ id }) => wanted.has(id));
    const placeOf = await placesFor(database, ended, { tenantId, limit });
    if (placeOf === null) continue;
    const locked = rowsOf(seen);
    const restarted = await repeatConflicts(() =>
      database.$transaction(async (transaction) => {
        await transaction.$executeRaw`
          SELECT FROM jobs WHERE id = ANY(${locked}::uuid[]) ORDER BY id FOR NO KEY UPDATE`;
        const now = await readJobsBelow(transaction, ids);
        if (hasGrown(now, locked)) return null;
        const { ids: chosen, blockedBy } = restartable(now, mayRestart);
        const blocking = blockedBy.get(first.id);
        if (mustRestart && blocking !== undefined)
          throw new NeededJobEndedError({ jobId: blocking.needsId, status: blocking.status });
        if (chosen.size === 0) return [];
        // Another one may be queued again since its row was read.
        if ([...chosen].some((id) => !placeOf.has(id))) return null;
        const rows = [...chosen].map((id) => {
          const asked = sealedOf.get(id);
          const { lane = defaultLane, rank = 0 } = placeOf.get(id) ?? {};
          return rankedRow({ id, ...asked, lane }, rank, asked ? null : neededOf(id, now, chosen));
        });
        const room = takeRoom(tenantId, rows.length, limit);
        const again = await restartRows(transaction, rows, [...statuses, "failed"], { room, by });
        return again.length === 0 ? null : again;
      }, transactionLimits),
    );
    if (restarted !== null) return restarted;
    if (wanted.size > 0) await recount(database, tenantId, wanted.size, limit);
  }
  throw new StoreUnavailableError(undefined, { fault: "busy", wasRefused: true });
}

function hasGrown(now: JobsBelow, locked: readonly string[]): boolean {
  const known = new Set(locked);
  return rowsOf(now).some((id) => !known.has(id));
}

/** The job because of whose retry this one comes along. */
function neededOf(id: string, { unmet }: JobsBelow, chosen: ReadonlySet<string>): string | null {
  return unmet.find(({ jobId, needsId }) => jobId === id && chosen.has(needsId))?.needsId ?? null;
}

/** `null` = the known count of queued jobs leaves no room; it was counted anew. */
async function placesFor(
  database: PrismaClient,
  ended: readonly Retryable[],
  { tenantId, limit }: { tenantId: string; limit: Restart["limit"] },
): Promise<Map<string, { lane: string; rank: number }> | null> {
  if (ended.length === 0) return new Map();
  const jobs = await useKnownLanes(database, ended);
  const takeRank = await reserveRanks(database, tenantId, jobs, limit);
  if (takeRank !== null) return new Map(jobs.map((job) => [job.id, { lane: job.lane, rank: takeRank(job) }]));
  await recount(database, tenantId, jobs.length, limit);
  return null;
}
