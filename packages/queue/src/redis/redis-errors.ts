import { types } from "node:util";
import { TicketsUnavailableError } from "@genga/jobs";

/**
 * Maps errors of ioredis and BullMQ; no other file does this. Each error that means "Redis cannot serve this now"
 * becomes a `TicketsUnavailableError`. A programming error (a `TypeError`, for example) is returned unchanged.
 */
export function mapRedisError(error: unknown): unknown {
  return isRedisTrouble(error) ? new TicketsUnavailableError(error) : error;
}

/** Whether an error of BullMQ's scripts means that the ticket is gone, finished, or held by another process. */
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
