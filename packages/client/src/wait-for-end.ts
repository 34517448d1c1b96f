import { keyNotValid } from "./events.ts";
import { Deadline } from "./deadline.ts";
import { GengaError } from "./genga-error.ts";
import { type Message } from "./message-parser.ts";
import { isPassing, MessageSource } from "./message-source.ts";
import { backoffMs, pause } from "./pauses.ts";
import { type Sending } from "./send-request.ts";
import { type StreamPlaces } from "./stream-places.ts";

export interface WaitOptions<State> {
  readonly signal?: AbortSignal | undefined;
  /** After so long the wait ends with a DOMException named `TimeoutError`. */
  readonly timeoutMs?: number | undefined;
  /** Called with each new state, the last one included. */
  readonly onProgress?: ((state: State) => void) | undefined;
}

/** A job or a batch whose end is waited for. */
export interface AwaitedThing<State> {
  readonly eventsPath: string;
  /** @throws GengaError when there is no such thing, or it was removed */
  read(signal: AbortSignal): Promise<State>;
  /** The same, but answered at the end, or after a while; `undefined` = the API cannot do so. */
  readonly readAtEnd: ((signal: AbortSignal) => Promise<State>) | undefined;
  hasEnded(state: State): boolean;
  /** A message of its stream: the new state, or when to read it. */
  hear(message: Message, state: State | undefined): State | "read-now" | "read-soon" | "nothing";
  /** How long a state may be shown although it may have changed without a message. */
  staleAfterMs(state: State): number | undefined;
}

interface WaitParts {
  readonly sending: Sending;
  readonly places: StreamPlaces;
}

/** Between two reads because of messages that do not say the whole state. */
const readEveryMs = 1_000;
/** A stream says the state at once; one that does not is of no use. */
const firstMessageMs = 10_000;
/** After so many streams in a row without a message the API is asked to answer at the end instead. */
const uselessMax = 2;
const polls = { firstMs: 1_000, longestMs: 5_000 };

/**
 * Waits for an end by the stream of events; where no stream is possible, by requests that the API answers at the end; and
 * where it cannot do that either, by asking again and again. After each cut the state is read, so that no end is missed.
 * @throws GengaError when the thing does not exist, or is removed meanwhile, or the API refuses
 * @throws the reason of the signal when it is aborted
 */
export async function waitForEnd<State>(
  thing: AwaitedThing<State>,
  parts: WaitParts,
  { signal, timeoutMs, onProgress }: WaitOptions<State>,
): Promise<State> {
  const whole = new Deadline(signal);
  if (timeoutMs !== undefined) {
    whole.limit(
      timeoutMs,
      () => new DOMException(`It has not ended within ${timeoutMs} ms.`, "TimeoutError"),
    );
  }
  try {
    return await new Wait(thing, parts, whole.signal, onProgress).run();
  } finally {
    whole.abort(new Error("The wait is over."));
    whole.end();
  }
}

class Wait<State> {
  readonly #thing: AwaitedThing<State>;
  readonly #places: StreamPlaces;
  readonly #signal: AbortSignal;
  readonly #onProgress: ((state: State) => void) | undefined;
  readonly #source: MessageSource;
  #state: State | undefined;
  /** When to read the state during a stream. */
  #readAt = Infinity;
  #lastReadAt = -Infinity;
  #uselessStreams = 0;

  constructor(
    thing: AwaitedThing<State>,
    { sending, places }: WaitParts,
    signal: AbortSignal,
    onProgress: ((state: State) => void) | undefined,
  ) {
    this.#thing = thing;
    this.#places = places;
    this.#signal = signal;
    this.#onProgress = onProgress;
    this.#source = new MessageSource(sending, { path: thing.eventsPath, firstMessageMs }, signal);
  }

  async run(): Promise<State> {
    for (let looks = 1; ; looks += 1) {
      const { isEnd, isHeard, failure } = await this.#stream();
      if (isEnd || (await this.#look())) return this.#ended();
      if (isHeard) looks = 1;
      const afterFailureMs = isHeard || failure !== undefined ? this.#source.pauseMs(failure) : 0;
      const pollMs = isHeard || this.#asksAtEnd ? 0 : backoffMs(looks, polls);
      await pause(Math.max(afterFailureMs, pollMs), this.#signal);
    }
  }

  #ended(): State {
    if (this.#state === undefined) throw new Error("Nothing has ended.");
    return this.#state;
  }

  /** One connection, if one may be opened. */
  async #stream(): Promise<{ isEnd: boolean; isHeard: boolean; failure: GengaError | undefined }> {
    if (this.#asksAtEnd || !this.#places.take()) {
      return { isEnd: false, isHeard: false, failure: undefined };
    }
    const heard = { isHeard: false };
    const stream = new Deadline(this.#signal);
    try {
      return { isEnd: await this.#follow(heard, stream.signal), ...heard, failure: undefined };
    } catch (error) {
      if (!isPassing(error) && !isNoStream(error)) throw error;
      const isUseless = !heard.isHeard && (error.status === 0 || error.status === 200);
      this.#uselessStreams = isUseless ? this.#uselessStreams + 1 : 0;
      return { isEnd: false, ...heard, failure: error };
    } finally {
      // Also when a read failed meanwhile: nobody would read the stream any more.
      stream.abort(new Error("The stream is not followed any more."));
      stream.end();
      this.#places.giveBack();
    }
  }

  /** @returns whether it has ended; false when the stream has */
  async #follow(heard: { isHeard: boolean }, signal: AbortSignal): Promise<boolean> {
    const messages = this.#source.connection(signal);
    const take = (): ReturnType<typeof messages.next> => {
      const taken = messages.next();
      // It is left alone where the wait ends, or a read fails, in between.
      taken.catch(() => undefined);
      return taken;
    };
    let next = take();
    for (;;) {
      const result = await this.#nextOrDue(next);
      if (result === "due") {
        if (await this.#read()) return true;
        continue;
      }
      if (result.done === true) return false;
      heard.isHeard = true;
      next = take();
      if (await this.#hear(result.value)) return true;
    }
  }

  async #nextOrDue<Result>(next: Promise<Result>): Promise<Result | "due"> {
    const dueMs = this.#readAt - performance.now();
    if (dueMs === Infinity) return next;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const due = new Promise<"due">((resolve) => {
      timer = setTimeout(resolve, Math.max(0, dueMs), "due");
    });
    try {
      return await Promise.race([next, due]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns whether it has ended */
  async #hear(message: Message): Promise<boolean> {
    if (message.name === "closed") throw keyNotValid();
    const heard = this.#thing.hear(message, this.#state);
    if (heard === "read-now") return this.#read();
    if (heard === "read-soon") {
      // Nobody looks at what lies between: the end is told.
      if (this.#onProgress === undefined) return false;
      this.#readAt = Math.min(this.#readAt, Math.max(performance.now(), this.#lastReadAt + readEveryMs));
      return false;
    }
    return heard !== "nothing" && this.#show(heard);
  }

  async #read(): Promise<boolean> {
    this.#lastReadAt = performance.now();
    return this.#show(await this.#thing.read(this.#signal));
  }

  #show(state: State): boolean {
    this.#state = state;
    const staleMs = this.#onProgress === undefined ? undefined : this.#thing.staleAfterMs(state);
    this.#readAt = staleMs === undefined ? Infinity : performance.now() + staleMs;
    this.#onProgress?.(state);
    return this.#thing.hasEnded(state);
  }

  /** Whether streams are of no use here, and the API can answer at the end. */
  get #asksAtEnd(): boolean {
    return this.#uselessStreams >= uselessMax && this.#thing.readAtEnd !== undefined;
  }

  /** @returns whether it has ended. That the API cannot answer may pass. */
  async #look(): Promise<boolean> {
    const { readAtEnd } = this.#thing;
    try {
      if (this.#asksAtEnd && readAtEnd !== undefined) return this.#show(await readAtEnd(this.#signal));
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.#uselessStreams = 0;
    }
    try {
      return await this.#read();
    } catch (error) {
      if (!isPassing(error)) throw error;
      return false;
    }
  }
}

/** Something between here and the API answers in its place. */
function isNoStream(error: unknown): error is GengaError {
  return error instanceof GengaError && error.status === 200;
}
