import { checkDependencies } from "./check-dependencies.ts";
import { checkEnd } from "./check-end.ts";
import { checkExecutions } from "./check-executions.ts";
import { checkFiles } from "./check-files.ts";
import { checkLanes } from "./check-lanes.ts";
import { checkLife } from "./check-life.ts";
import { checkPlacement } from "./check-placement.ts";
import { checkRequests } from "./check-requests.ts";
import { checkTakeBacks } from "./check-take-backs.ts";
import { checkWrites } from "./check-writes.ts";
import { checkSubmissions } from "./check-submissions.ts";
import { endings, type History, type Violation } from "../history/history.ts";

/** Every promise that the history breaks; an empty list is a pass. */
export function checkHistory(history: History): Violation[] {
  return [
    ...history.deaths.map((message) => ({ rule: "process", jobId: null, message })),
    ...[...checkBatches(history)].map((message) => ({ rule: "batch", jobId: null, message })),
    ...[...checkSubmissions(history)].map((message) => ({ rule: "submission", jobId: null, message })),
    ...history.jobs.flatMap((job) => checkLife(job, history.troubles)),
    ...history.jobs.flatMap(checkRequests),
    ...history.jobs.flatMap((job) => checkEnd(job, history.excusedFailures)),
    ...[...checkDependencies(history)].map(([jobId, message]) => ({ rule: "dependencies", jobId, message })),
    ...[...checkLanes(history)].map(([jobId, message]) => ({ rule: "lanes", jobId, message })),
    ...[...checkPlacement(history)].map(([jobId, message]) => ({ rule: "placement", jobId, message })),
    ...[...checkTakeBacks(history)].map(([jobId, message]) => ({ rule: "take-backs", jobId, message })),
    ...checkWrites(history.writes),
    ...checkExecutions(history),
    ...checkFiles(history),
  ];
}

/** Checks that a batch counts each of its jobs once, with the job's final status. */
function* checkBatches({ batches }: History): Generator<string> {
  for (const { id, total, counts, ends } of batches) {
    const sum = Object.values(ends).reduce((one, other) => one + other, 0);
    if (sum !== total) yield `batch ${id} has ${total} jobs, and ${sum} were found`;
    for (const status of new Set([...endings, ...Object.keys(counts)])) {
      const [told, found] = [counts[status] ?? 0, ends[status] ?? 0];
      if (told !== found) yield `batch ${id} counts ${told} ${status} jobs, and ${found} were found`;
    }
  }
}
