import { StoreUnavailableError, type StoreFault } from "@genga/jobs";

/** An error after which the call may succeed later, and whether the statement certainly had no effect. */
interface PassingFault {
  fault: StoreFault;
  wasRefused: boolean;
}

const faults = (fault: StoreFault, wasRefused: boolean, ...signs: string[]): [string, PassingFault][] =>
  signs.map((sign) => [sign, { fault, wasRefused }]);

/**
 * Errors of Prisma, its driver adapter, `pg` and Node when the database is down, too slow or refuses work for now.
 * `wasRefused` is true for statements that never reached PostgreSQL or that it rolled back. A connection may break
 * after the commit, so then it is false.
 */
const passingCodes = new Map<string, PassingFault>([
  // Prisma: cannot reach, timed out, connection closed; no free connection, transaction not started in time; conflict
  ...faults("unreachable", false, "P1001", "P1002", "P1017"),
  ...faults("timeout", false, "P1008"),
  ...faults("busy", true, "P2024", "P2028", "P2034"),
  // PostgreSQL: shut down, crashed; starting
  ...faults("unreachable", false, "57P01", "57P02", "57P05"),
  ...faults("unreachable", true, "57P03"),
  // Statement or lock timeout, idle in transaction; conflict, read-only standby
  ...faults("timeout", true, "57014", "55P03", "25P03"),
  ...faults("busy", true, "40001", "40P01", "25006"),
  // Node's sockets
  ...faults("unreachable", true, "ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"),
  ...faults("unreachable", false, "ECONNRESET", "ECONNABORTED", "ETIMEDOUT", "EPIPE"),
  ...faults("unreachable", false, "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "EADDRNOTAVAIL"),
]);

/** Whole classes of PostgreSQL's codes: connection exceptions, and insufficient resources. */
const passingClasses = new Map([...faults("unreachable", false, "08"), ...faults("busy", true, "53")]);

/** The names that the driver adapter has for the same errors. */
const passingKinds = new Map([
  ...faults("unreachable", false, "DatabaseNotReachable", "ConnectionClosed"),
  ...faults("timeout", false, "SocketTimeout"),
  ...faults("busy", true, "TooManyConnections", "TransactionWriteConflict"),
]);

/** Errors of `pg` and its pool that have no code, or one that says too little. */
const passingMessages = [
  ...faults("unreachable", false, "Connection terminated", "not queryable"),
  ...faults("timeout", true, "timeout exceeded when trying to connect", "timeout expired"),
  ...faults("timeout", false, "Query read timeout"),
  ...faults("busy", true, "Unable to start a transaction in the given time"),
  // Of a statement that was prepared before a migration; the pool closes the connection, and another one prepares it anew.
  ...faults("busy", true, "cached plan must not change result type"),
];

/**
 * Turns errors of other libraries into Genga's errors; no other code does. Returns `StoreUnavailableError` when the
 * same call may succeed later. Any other error, such as a violated constraint, is returned unchanged.
 */
export function mapDatabaseError(error: unknown): unknown {
  if (error instanceof StoreUnavailableError) return error;
  const passing = passingFaultOf(error, 0);
  return passing === undefined ? error : new StoreUnavailableError(error, passing);
}

/** Runs database work and maps its errors. */
export async function withMappedErrors<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw mapDatabaseError(error);
  }
}

/**
 * Searches wrapped errors: Prisma keeps the driver's error in `meta`, the driver keeps `pg`'s in `cause`. The innermost
 * one is the most exact: an outer layer reports a refused connection only as an unreachable server.
 */
function passingFaultOf(error: unknown, depth: number): PassingFault | undefined {
  if (typeof error !== "object" || error === null || depth > 5) return undefined;
  const { code, originalCode, kind, message, cause, meta, errors } = error as Partial<
    Record<string, unknown>
  >;
  const inner = [cause, ...(Array.isArray(errors) ? (errors as unknown[]) : [])];
  if (typeof meta === "object" && meta !== null) inner.push(...(Object.values(meta) as unknown[]));
  for (const each of inner) {
    const known = passingFaultOf(each, depth + 1);
    if (known !== undefined) return known;
  }
  return (
    faultOfCode(originalCode) ??
    faultOfCode(code) ??
    (typeof kind === "string" ? passingKinds.get(kind) : undefined) ??
    (typeof message === "string" ? passingMessages.find(([part]) => message.includes(part))?.[1] : undefined)
  );
}

/** The name of the constraint, such as a foreign key, that a statement violated; `undefined` for any other error. */
export function violatedConstraint(error: unknown, depth = 0): string | undefined {
  if (typeof error !== "object" || error === null || depth > 5) return undefined;
  const { constraint, cause, meta, originalCode, originalMessage } = error as Partial<
    Record<string, unknown>
  >;
  if (typeof constraint === "string") return constraint;
  if (typeof originalMessage === "string" && String(originalCode).startsWith("23")) {
    const named = /constraint "([^"]+)"/.exec(originalMessage)?.[1];
    if (named !== undefined) return named;
  }
  const inner = [
    cause,
    ...(typeof meta === "object" && meta !== null ? (Object.values(meta) as unknown[]) : []),
  ];
  for (const each of inner) {
    const known = violatedConstraint(each, depth + 1);
    if (known !== undefined) return known;
  }
  return undefined;
}

function faultOfCode(code: unknown): PassingFault | undefined {
  if (typeof code !== "string") return undefined;
  return passingCodes.get(code) ?? (code.length === 5 ? passingClasses.get(code.slice(0, 2)) : undefined);
}
