import type { GraphValidation } from "./graph-problem.ts";
import type { ObjectInfo } from "./object-info.ts";

/** Placeholder of the signature; the body follows. */
export function validateGraph(_workflow: unknown, _objectInfo?: ObjectInfo): GraphValidation {
  return { errors: [], warnings: [] };
}
