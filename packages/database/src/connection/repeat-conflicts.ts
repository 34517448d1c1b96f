import { StoreUnavailableError } from "@genga/jobs";
import pRetry from "p-retry";
import { mapDatabaseError } from "./database-errors.ts";

const retriesMax = 5;

/**
 * Runs a transaction again, after a random pause, when PostgreSQL rolled it back because it and another one waited for
 * each other (40P01). Nothing else is repeated here.
 */
export async function repeatConflicts<Result>(transaction: () => Promise<Result>): Promise<Result> {
  return await pRetry(transaction, {
    ...{ retries: retriesMax, minTimeout: 10, maxTimeout: 200, randomize: true },
    shouldRetry: ({ error }) => isConflict(error),
  });
}

function isConflict(error: unknown): boolean {
  const mapped = mapDatabaseError(error);
  return (
    mapped instanceof StoreUnavailableError && mapped.fault === "busy" && hasConflictCode(mapped.cause, 0)
  );
}

/** PostgreSQL's code, or the names that Prisma and its driver adapter have for it, in any of the wrapped errors. */
const conflictNames: ReadonlySet<unknown> = new Set(["40P01", "40001", "P2034", "TransactionWriteConflict"]);

function hasConflictCode(error: unknown, depth: number): boolean {
  if (typeof error !== "object" || error === null || depth > 5) return false;
  const { code, originalCode, kind, cause, meta } = error as Partial<Record<string, unknown>>;
  if ([code, originalCode, kind].some((name) => conflictNames.has(name))) return true;
  const inner = typeof meta === "object" && meta !== null ? (Object.values(meta) as unknown[]) : [];
  return [cause, ...inner].some((one) => hasConflictCode(one, depth + 1));
}
