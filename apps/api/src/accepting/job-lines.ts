import { InvalidJobError } from "@genga/jobs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { parseJsonText } from "../http/json-body.ts";
import { RefusedError } from "../http/problem-document.ts";
import { batchJobsMax } from "../submissions/submission-body.ts";

/** With the empty ones. */
export const linesMax = 10 * batchJobsMax;
/** After so many lines other work of this thread has its turn. */
const linesInATurn = 200;

/**
 * NDJSON: one job a line; empty lines do not count. Stops at the first line that is one too many.
 * @throws RefusedError naming the line
 * @throws InvalidJobError for more jobs than a batch may have, and for too many lines
 */
export async function readJobLines(text: string): Promise<{ jobs: unknown[] }> {
  const jobs: unknown[] = [];
  let number = 0;
  for (let begin = 0; begin < text.length;) {
    const newline = text.indexOf("\n", begin);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(begin, end).trim();
    begin = end + 1;
    number += 1;
    if (number > linesMax) throw tooMany(`has more than ${linesMax} lines`);
    if (number % linesInATurn === 0) await nextTurn();
    if (line === "") continue;
    if (jobs.length === batchJobsMax) throw tooMany(`has more than ${batchJobsMax} jobs`);
    try {
      jobs.push(await parseJsonText(line));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      throw new RefusedError(error.code, `Line ${number}: ${error.message}`, { cause: error });
    }
  }
  return { jobs };
}

function tooMany(what: string): InvalidJobError {
  const message = `The body ${what}; split the batch.`;
  return new InvalidJobError([
    { path: "jobs", code: "out-of-bounds", message, accepted: { max: batchJobsMax } },
  ]);
}
