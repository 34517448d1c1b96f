import { groupBy } from "../history/group-by.ts";
import { type History } from "../history/history.ts";

/** A moment of one process may seem to be this much later to another one, because clocks are read and rounded. */
const slackMs = 300;

/**
 * Checks that a pause of a lane which was accepted was stored, and that no job of the lane was claimed from the answer to
 * the request on, until the pause was ended.
 *
 * @returns the id of the job, if it is about one, and what is wrong
 */
export function* checkLanes(history: History): Generator<[jobId: string | null, message: string]> {
  const { laneRequests, laneChanges, writes } = history;
  const changesOf = groupBy(laneChanges, ({ lane }) => lane);
  const claims = writes.filter(
    ({ before, after }) => before?.status === "queued" && after.status === "processing",
  );
  const claimsOf = groupBy(claims, ({ lane }) => lane);
  for (const { lane, endedAt, httpStatus } of laneRequests) {
    if (httpStatus !== 202) continue;
    const changes = changesOf.get(lane) ?? [];
    const last = changes.findLast(({ at }) => at <= endedAt + slackMs);
    if (last === undefined) yield [null, `the pause of lane ${lane} was accepted, and is not stored`];
    // Another request has ended the pause before its answer arrived.
    if (last?.isPaused !== true) continue;
    const resumed = changes.find(({ at, isPaused }) => at > last.at && !isPaused);
    for (const { jobId, at } of claimsOf.get(lane) ?? []) {
      if (at > endedAt + slackMs && at < (resumed?.at ?? Number.POSITIVE_INFINITY))
        yield [jobId, `it was claimed at ${new Date(at).toISOString()} while its lane ${lane} was paused`];
    }
  }
}
