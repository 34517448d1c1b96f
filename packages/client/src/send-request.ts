import { type KeyedPath } from "./api-types.ts";
import { connectionError, errorOfAnswer, GengaError } from "./genga-error.ts";
import { Deadline } from "./deadline.ts";
import { backoffMs, pause, reasonOf } from "./pauses.ts";
import { randomId } from "./random-id.ts";

/** How requests are repeated. */
export interface Retries {
  /** How often a request is sent at most. */
  readonly attemptsMax: number;
  /** The wait before the second attempt; it doubles with each further one. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** A `Retry-After` beyond this is not waited for: the refusal is the caller's to handle. */
  readonly retryAfterMaxMs: number;
}

/** What every request of a client needs. */
export interface Sending {
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: (request: Request, init: { signal: AbortSignal }) => Promise<Response>;
  readonly retries: Retries;
  /** An answer that has not arrived by then counts as lost. */
  readonly answerMs: number;
}

export interface Sent {
  /**
   * Whether the request may be sent again although its effect is not known: it only reads, or a repetition changes
   * nothing. By default this is so for GET, HEAD and PUT, and where there is an Idempotency-Key.
   */
  readonly isRepeatable?: boolean;
  /** The body of the answer is left to the caller, and may take as long as it likes. */
  readonly isStreamed?: boolean;
  /** How long the API itself waits before it answers. */
  readonly waitMs?: number;
  /** Only once: the caller handles refusals. */
  readonly isOnce?: boolean;
  /** Makes the request again; without it the request is copied, which keeps its body in memory. */
  readonly again?: () => Request;
  /** In place of the request's own signal, which Node 20 forgets when nothing holds the request any more. */
  readonly signal?: AbortSignal;
}

/**
 * Sends a request until it is answered. It is repeated when the API says that it may be (429, 503), after the time that the API
 * names; and, if that is safe, when the answer was lost.
 * @throws GengaError  @throws the reason of the request's signal when it is aborted
 */
export async function sendRequest(request: Request, sending: Sending, how: Sent = {}): Promise<Response> {
  nameSubmission(request);
  const { retries } = sending;
  const { isRepeatable = repeatsSafely(request), signal = request.signal } = how;
  for (let attempt = 1; ; attempt += 1) {
    const isLast = how.isOnce === true || attempt >= retries.attemptsMax;
    try {
      const next = how.again?.() ?? (isLast ? request : request.clone());
      return await sendOnce(next, sending, { ...how, signal });
    } catch (error) {
      if (!(error instanceof GengaError)) throw error;
      error.attempts = attempt;
      const waitMs = error.retryAfterMs ?? 0;
      if (isLast || waitMs > retries.retryAfterMaxMs || !mayRepeat(error, isRepeatable)) throw error;
      await pause(waitMs + backoffMs(attempt, retries), signal);
    }
  }
}

/** Codes of 503 that say that nothing was done. */
const refusedUnread: ReadonlySet<string> = new Set(["too-many-bodies", "too-many-streams"]);

function mayRepeat({ status, code }: GengaError, isRepeatable: boolean): boolean {
  switch (status) {
    case 429:
      return true;
    case 503:
      return isRepeatable || refusedUnread.has(code);
    case 409:
      // The same Idempotency-Key, of which the first request is still being answered.
      return code === "request-under-way";
    // No answer, one that came too late, or one of a proxy that got none.
    case 0:
    case 408:
    case 502:
    case 504:
      return isRepeatable;
    default:
      return false;
  }
}

function repeatsSafely({ method, headers }: Request): boolean {
  return ["GET", "HEAD", "PUT"].includes(method) || headers.has(keyHeader);
}

const keyHeader = "idempotency-key";

/** Where repeated submissions are answered as the first one. The compiler names a path that is missing here. */
const keyedPaths: Record<KeyedPath, true> = {
  "/api/anime/generate": true,
  "/api/anime/generate/image": true,
  "/api/anime/generate/video": true,
  "/api/anime/jobs/{id}/rerun": true,
  "/api/anime/batches": true,
  "/api/anime/batches/{id}/rerun": true,
};
const keyedPatterns = Object.keys(keyedPaths).map(
  (path) => new RegExp(`${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
);

/** Gives a submission an Idempotency-Key of its own, if it has none. */
function nameSubmission({ method, url, headers }: Request): void {
  if (method !== "POST" || headers.has(keyHeader)) return;
  const { pathname } = new URL(url);
  if (keyedPatterns.some((pattern) => pattern.test(pathname))) headers.set(keyHeader, randomId());
}

async function sendOnce(
  request: Request,
  sending: Sending,
  how: Sent & { signal: AbortSignal },
): Promise<Response> {
  const { signal } = how;
  const deadline = new Deadline(signal);
  const endLimit = deadline.limit(sending.answerMs + (how.waitMs ?? 0), () =>
    connectionError(new Error("no answer arrived in time")),
  );
  try {
    const response = await sending.fetch(request, { signal: deadline.signal });
    if (!response.ok && response.status !== 304) throw errorOfAnswer(response, await response.text());
    if (how.isStreamed === true) return response;
    return await wholeOf(response);
  } catch (error) {
    if (error instanceof GengaError) throw error;
    if (signal.aborted) throw reasonOf(signal);
    throw connectionError(error);
  } finally {
    endLimit();
    // The signal of a stream goes on to be the caller's.
    if (how.isStreamed !== true) deadline.end();
  }
}

/** The answer with its whole body, so that a body that is cut off counts as a lost answer. */
async function wholeOf(response: Response): Promise<Response> {
  const body = await response.arrayBuffer();
  const { status, statusText, headers } = response;
  return new Response(body.byteLength === 0 ? null : body, { status, statusText, headers });
}
