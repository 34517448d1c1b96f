import { groupBy } from "../history/group-by.ts";
import { type History } from "../history/history.ts";

/**
 * Checks that a submission which was sent several times with one Idempotency-Key was accepted once, and answered with the
 * same ids each time.
 */
export function* checkSubmissions({ jobs, submissions }: History): Generator<string> {
  for (const [name, ofName] of groupBy(jobs, (job) => job.name)) {
    if (name !== null && ofName.length > 1)
      yield `${name} was accepted ${ofName.length} times: ${ofName.map(({ id }) => id).join(", ")}`;
  }
  for (const { name, answers } of submissions) {
    const different = new Set(answers.map((ids) => ids.join(", ")));
    if (different.size > 1) yield `${name} was answered with different ids: ${[...different].join("; ")}`;
  }
}
