import { type PythonValue } from "../python/python-values.ts";

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a server of 0.28 accepts a value as a prompt's id: a lowercase hyphenated UUID of any version. */
export function isJobId(value: PythonValue): value is string {
  return typeof value === "string" && uuidPattern.test(value);
}
