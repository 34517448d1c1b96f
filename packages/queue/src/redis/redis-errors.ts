import { types } from "node:util";
import { TicketsUnavailableError } from "@genga/jobs";

/**
 * The one place where errors of ioredis and BullMQ become ours. Everything that says "Redis cannot serve this now" is a
 * `TicketsUnavailableError`; a mistake in our own code (a `TypeError`, say) is handed back as it is.
 */
export function mapRedisError(error: unknown): unknown {
  return isRedisTrouble(error) ? new TicketsUnavailableError(error) : error;
}

/** The ticket is gone, finished, or held by somebody else: what BullMQ's scripts answer in place of a result. */
export function isLostTicket(error: unknown): boolean {
  return types.isNativeError(error) && "code" in error && lostTicketCodes.has(error.code);
}

/** BullMQ's `ErrorCode`: no such job, no lock, not in the expected state, another holder's lock. */
const lostTicketCodes = new Set<unknown>([-1, -2, -3, -6]);

const troubleNames = new Set([
  "ReplyError",
  "MaxRetriesPerRequestError",
  "AbortError",
  "ConnectionClosedError",
]);

const troubleMessages = [
  "Connection is closed",
  "Stream isn't writeable",
  "Command timed out",
  "Connection in subscriber mode",
  "Redis connection is not ready",
];

function isRedisTrouble(error: unknown): boolean {
  if (!types.isNativeError(error) || error instanceof TicketsUnavailableError) return false;
  if (troubleNames.has(error.name)) return true;
  if ("syscall" in error) return true;
  return troubleMessages.some((message) => error.message.startsWith(message));
}
