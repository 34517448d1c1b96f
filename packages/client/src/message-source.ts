import { Deadline } from "./deadline.ts";
import { errorOfAnswer, GengaError } from "./genga-error.ts";
import { MessageParser, type Message } from "./message-parser.ts";
import { backoffMs, pause } from "./pauses.ts";
import { readChunk } from "./read-chunk.ts";
import { sendRequest, type Sending } from "./send-request.ts";

export interface Followed {
  /** The path of the stream, with its query. */
  readonly path: string;
  /** Begins after this message. */
  readonly lastId?: string | undefined;
  /** The first message comes at once. A stream without one by then is cut off: perhaps a proxy collects its messages. */
  readonly firstMessageMs?: number;
}

/** The API sends a comment every 15 seconds. */
const silenceMaxMs = 50_000;

/**
 * A stream of the API across its connections: each goes on after the last message that was taken from the one before, on
 * any process of the API. Nothing is read before it is asked for, so at most the messages of one piece of the stream wait
 * here.
 */
export class MessageSource {
  readonly #sending: Sending;
  readonly #followed: Followed;
  readonly #signal: AbortSignal;
  #lastId: string | undefined;
  #firstRetryMs: number;
  /** Connections since the last message. */
  #failures = 0;

  constructor(sending: Sending, followed: Followed, signal: AbortSignal) {
    this.#sending = sending;
    this.#followed = followed;
    this.#signal = signal;
    this.#lastId = followed.lastId;
    this.#firstRetryMs = sending.retries.firstMs;
  }

  /**
   * All messages. It ends when the API says that there is nothing more.
   * @throws GengaError when the API refuses the stream; not while it is overloaded or cannot be reached
   * @throws the reason of the signal when it is aborted
   */
  async *messages(): AsyncGenerator<Message, void, undefined> {
    for (;;) {
      let failure: GengaError | undefined;
      try {
        const mayHaveMore = yield* this.connection();
        if (!mayHaveMore) return;
      } catch (error) {
        if (!isPassing(error)) throw error;
        failure = error;
      }
      await pause(this.pauseMs(failure), this.#signal);
    }
  }

  /**
   * The messages of one connection.
   * @param signal closes it, whether or not a message is being waited for
   * @returns false when the API says that there is nothing more
   * @throws GengaError  @throws the reason of the signal when it is aborted
   */
  async *connection(signal = this.#signal): AsyncGenerator<Message, boolean, undefined> {
    const parser = new MessageParser(this.#lastId);
    const deadline = new Deadline(signal);
    this.#failures += 1;
    try {
      const request = this.#request(deadline.signal);
      const response = await sendRequest(request, this.#sending, {
        ...{ isStreamed: true, isOnce: true, signal: deadline.signal },
      });
      if (response.status === 204) return false;
      for await (const message of messagesOf(response, parser, deadline, this.#followed)) {
        this.#failures = 0;
        yield message;
      }
      return true;
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    } finally {
      this.#lastId = parser.lastId;
      this.#firstRetryMs = parser.retryMs ?? this.#firstRetryMs;
      // Closes the connection when the consumer leaves.
      deadline.abort(new Error("The stream is not followed any more."));
      deadline.end();
    }
  }

  /** How long to wait before the next connection. */
  pauseMs(failure: GengaError | undefined): number {
    const firstMs = this.#firstRetryMs;
    const longestMs = Math.max(this.#sending.retries.longestMs, firstMs);
    return (failure?.retryAfterMs ?? 0) + backoffMs(this.#failures + 1, { firstMs, longestMs });
  }

  #request(signal: AbortSignal): Request {
    const { baseUrl, headers } = this.#sending;
    const resuming = this.#lastId === undefined ? {} : { "last-event-id": this.#lastId };
    return new Request(`${baseUrl}${this.#followed.path}`, {
      headers: { ...headers, accept: "text/event-stream", ...resuming },
      signal,
    });
  }
}

/** Whether the next connection may be better: after overload, restarts, failures of networks. */
export function isPassing(error: unknown): error is GengaError {
  if (!(error instanceof GengaError)) return false;
  const { status } = error;
  return status === 0 || status === 408 || status === 429 || status >= 500;
}

async function* messagesOf(
  response: Response,
  parser: MessageParser,
  deadline: Deadline,
  { firstMessageMs = silenceMaxMs }: Followed,
): AsyncGenerator<Message, void, undefined> {
  const type = response.headers.get("content-type") ?? "";
  if (response.body === null || !type.startsWith("text/event-stream")) {
    throw errorOfAnswer(response, `The answer is ${type === "" ? "empty" : type}, not a stream of events.`);
  }
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let silentMs = firstMessageMs;
  for (;;) {
    const chunk = await readChunk(reader, deadline, silentMs);
    if (chunk === undefined) return;
    const messages = parser.read(decoder.decode(chunk, { stream: true }));
    if (messages.length > 0) silentMs = silenceMaxMs;
    yield* messages;
  }
}
