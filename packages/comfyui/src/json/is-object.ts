import { ExactNumber } from "./exact-json.ts";

/** Whether a value that was read from JSON is an object. An `ExactNumber` stands for a number. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber)
  );
}
