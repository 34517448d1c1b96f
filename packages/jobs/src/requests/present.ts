import { JobNotFoundError, JobRemovedError } from "../job/job-errors.ts";

/**
 * Turns a store's answer about a missing or removed job into an error.
 * @throws JobNotFoundError
 * @throws JobRemovedError
 */
export function present<Found>(
  found: Found | "removed" | null,
  id: string,
): Exclude<Found, "removed" | null> {
  if (found === null) throw new JobNotFoundError(id);
  if (found === "removed") throw new JobRemovedError(id);
  return found as Exclude<Found, "removed" | null>;
}
