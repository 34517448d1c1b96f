import { setTimeout as sleep } from "node:timers/promises";
import { type Batch } from "../job/job.ts";
import { BatchNotEndedError, StoreUnavailableError } from "../job/job-errors.ts";
import { type Actor } from "../ports/audit-store.ts";
import { type JobRequests } from "../ports/job-requests.ts";
import { type Signals } from "../ports/signals.ts";
import { publishFailures } from "../running/attempt-recorder.ts";
import { withLostAnswers } from "./lost-answer.ts";

/** Steps without effect, since other requests had locked all jobs that were left. */
const idleStepsMax = 50;
const idleMs = 100;

/**
 * Removes an ended batch with all of its jobs, in steps, so that nothing stays locked for long however many they are.
 * Tickets and files of the jobs are on record from the transaction of their step on; the keeper removes them.
 * @param by who requested it
 * @throws BatchNotEndedError when a job has not ended, or was tried again meanwhile
 * @throws StoreUnavailableError what was removed by then stays removed; the same request goes on with the rest
 */
export async function removeBatch(
  {
    requests,
    signals,
  }: { requests: Pick<JobRequests, "removeBatchPart">; signals: Pick<Signals, "publish"> },
  { id }: Batch,
  by?: Actor,
): Promise<void> {
  let removed = 0;
  for (let idleSteps = 0; idleSteps < idleStepsMax;) {
    const isFirst = removed === 0;
    const step = await withLostAnswers(() =>
      requests.removeBatchPart(id, isFirst ? by : undefined, (passedOn) => {
        publishFailures(signals, passedOn);
      }),
    );
    removed += step.removed.length;
    if (step.left === "none") return;
    if (step.left === "active") throw new BatchNotEndedError(removed);
    if (step.removed.length > 0) continue;
    idleSteps += 1;
    await sleep(idleMs);
  }
  throw new StoreUnavailableError(undefined, { fault: "busy", wasRefused: false });
}
