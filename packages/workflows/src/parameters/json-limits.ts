import { numberOf } from "@genga/comfyui";
import { unstorable, type JobProblem } from "@genga/jobs";

const depthMax = 64;
const problemsMax = 20;
/**
 * At most this many members and items in one job. The largest graphs that people make have a few thousand nodes of
 * about ten inputs each.
 */
export const valuesMax = 50_000;

/**
 * Finds JSON that PostgreSQL's `jsonb` cannot store or that would break a later reader: the character U+0000, half a
 * surrogate pair, a number beyond the range of a double, `__proto__` as a key, and nesting that is too deep; and also
 * more values than can be judged without delaying other requests. It walks without recursion, so deep nesting does no
 * harm.
 */
export function problemsOfJson(value: unknown, path = ""): JobProblem[] {
  const problems: JobProblem[] = [];
  let values = 0;
  const waiting: { value: unknown; path: string; depth: number }[] = [{ value, path, depth: 0 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (problems.length >= problemsMax) return problems;
    const { value: current, path: here, depth } = next;
    if (typeof current === "string") {
      const reason = unstorable(current);
      if (reason !== undefined) problems.push(problemAt(here, "invalid-text", reason));
    } else if (numberOf(current) !== undefined) {
      // `1e400` is a JSON number, and infinite to JavaScript and to Python.
      if (!Number.isFinite(numberOf(current)))
        problems.push(problemAt(here, "out-of-bounds", "is too large a number"));
    } else if (typeof current === "object" && current !== null) {
      if (depth >= depthMax) {
        problems.push(problemAt(here, "nested-too-deep", `is nested more than ${depthMax} levels deep`));
        continue;
      }
      values += Array.isArray(current) ? current.length : Object.keys(current).length;
      if (values > valuesMax) {
        const message = `The job has more than ${valuesMax} members and items; that is more than any graph needs.`;
        return [{ path: here, code: "too-many-values", message, accepted: { max: valuesMax } }];
      }
      for (const [key, child] of Object.entries(current)) {
        const reason = key === "__proto__" ? "is not a usable name" : unstorable(key);
        const place = here === "" ? key : `${here}.${key}`;
        if (reason !== undefined) problems.push(problemAt(place, "invalid-text", reason));
        waiting.push({ value: child, path: place.slice(0, 200), depth: depth + 1 });
      }
    }
  }
  return problems;
}

function problemAt(path: string, code: string, reason: string): JobProblem {
  const shown = path.replaceAll("\0", "␀").replace(/\p{Surrogate}/gu, "\ufffd");
  return { path: shown, code, message: `${shown} ${reason}.` };
}
