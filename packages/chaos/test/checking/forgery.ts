import { checkHistory } from "../../src/checking/check-history.ts";
import { type History, type JobHistory } from "../../src/history/history.ts";
import { goodHistory } from "./true-history.ts";

/** A change that makes a true history false, and the violation that a check must report for it. */
export type Forgery = [what: string, found: RegExp, forge: (history: History, job: JobHistory) => void];

/** The violations that the checks find in a true history after the change. */
export function violationsAfter(forge: Forgery[2]): string[] {
  const history = goodHistory();
  forge(history, history.jobs[0]!);
  return violationsOf(history);
}

/** Each violation once, as `rule: message`. */
export function violationsOf(history: History): string[] {
  return [...new Set(checkHistory(history).map(({ rule, message }) => `${rule}: ${message}`))];
}
