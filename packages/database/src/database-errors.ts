import { StoreUnavailableError } from "@genga/jobs";

/** What Prisma, its driver adapter, `pg` and Node say when the database is away or refuses work for now. */
const passingCodes = new Set([
  // Prisma: cannot reach, timed out, connection closed, no connection free, transaction not started in time, conflict
  ...["P1001", "P1002", "P1008", "P1017", "P2024", "P2028", "P2034"],
  // PostgreSQL: shut down, crashed, starting, statement or lock timeout, idle in transaction, conflict, read-only standby
  ...["57P01", "57P02", "57P03", "57P05", "57014", "55P03", "25P03", "40001", "40P01", "25006"],
  // Node's sockets
  ...["ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "EPIPE"],
  ...["EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "EADDRNOTAVAIL"],
]);

/** Whole classes of PostgreSQL codes: connection exceptions, and resources that ran out. */
const passingClasses = ["08", "53"];

/** The driver adapter's names for the same. */
const passingKinds = new Set([
  "DatabaseNotReachable",
  "ConnectionClosed",
  "SocketTimeout",
  "TooManyConnections",
  "TransactionWriteConflict",
]);

/** `pg` and its pool raise plain errors without a code for these. */
const passingMessages = [
  "Connection terminated",
  "timeout exceeded when trying to connect",
  "timeout expired",
  "Query read timeout",
  "not queryable",
  "Unable to start a transaction in the given time",
];

/**
 * The one place where foreign errors become ours: `StoreUnavailableError` when the same call may work later, whatever
 * layer noticed it. Anything else (a broken constraint, a mistake of ours) is returned as it came.
 */
function mapDatabaseError(error: unknown): unknown {
  if (error instanceof StoreUnavailableError) return error;
  return isPassing(error, 0) ? new StoreUnavailableError(error) : error;
}

/** Runs a piece of database work, with its errors mapped. */
export async function withMappedErrors<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw mapDatabaseError(error);
  }
}

/** Looks through wrapped errors: Prisma keeps the driver's in `meta`, the driver keeps `pg`'s in `cause`. */
function isPassing(error: unknown, depth: number): boolean {
  if (typeof error !== "object" || error === null || depth > 5) return false;
  const { code, originalCode, kind, message, cause, meta, errors } = error as Partial<
    Record<string, unknown>
  >;
  if ([code, originalCode].some(isPassingCode)) return true;
  if (typeof kind === "string" && passingKinds.has(kind)) return true;
  if (typeof message === "string" && passingMessages.some((part) => message.includes(part))) return true;
  const inner = [cause, ...(Array.isArray(errors) ? (errors as unknown[]) : [])];
  if (typeof meta === "object" && meta !== null) inner.push(...(Object.values(meta) as unknown[]));
  return inner.some((each) => isPassing(each, depth + 1));
}

function isPassingCode(code: unknown): boolean {
  if (typeof code !== "string") return false;
  return passingCodes.has(code) || (code.length === 5 && passingClasses.includes(code.slice(0, 2)));
}
