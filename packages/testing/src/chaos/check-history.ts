import { checkEnd } from "./check-end.ts";
import { checkExecutions } from "./check-executions.ts";
import { checkLife } from "./check-life.ts";
import { checkWrites } from "./check-writes.ts";
import { type History, type Violation } from "./history.ts";

/** Every promise that the history breaks; none is a pass. */
export function checkHistory(history: History): Violation[] {
  return [
    ...history.deaths.map((message) => ({ rule: "process", jobId: null, message })),
    ...history.jobs.flatMap(checkLife),
    ...history.jobs.flatMap((job) => checkEnd(job, history.excusedFailures)),
    ...checkWrites(history.writes),
    ...checkExecutions(history),
  ];
}
