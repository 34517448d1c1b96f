import {
  type BatchDetail,
  type JobCounts,
  type JobEvent,
  type JobProgress,
  type JobStatus,
} from "./api-types.ts";
import { GengaError, ownCodes } from "./genga-error.ts";
import { type Message } from "./message-parser.ts";
import { MessageSource } from "./message-source.ts";
import { reasonOf } from "./pauses.ts";
import { type Sending } from "./send-request.ts";

/** Which events to follow. */
export interface EventChoice {
  /** The jobs of this batch; the events end once all of them have ended. Without it, they go on for ever. */
  readonly batch?: string;
  readonly project?: string;
  readonly scene?: string;
  readonly shot?: string;
  readonly tag?: string;
  /** Only events after which a job has one of these statuses. */
  readonly status?: readonly JobStatus[];
  /** Begins after the event with this id, with those that were missed meanwhile. */
  readonly lastEventId?: string;
  readonly signal?: AbortSignal;
}

interface OfStream {
  /** `lastEventId`, to go on after this; undefined only before the first event with an id. */
  readonly id: string | undefined;
}

export type GengaEvent = OfStream &
  (
    | {
        /** How things stand: at first, and when events were missed for good. Of a batch, also the end. */
        readonly kind: "snapshot";
        readonly snapshot: BatchDetail | JobCounts;
      }
    | { readonly kind: "event"; readonly event: JobEvent }
    | { readonly kind: "progress"; readonly progress: JobProgress }
    | { readonly kind: "removed"; readonly batchId: string }
    /** Of a newer API. */
    | { readonly kind: "other"; readonly name: string; readonly data: unknown }
  );

/**
 * Events as an iterable. `return()`, or leaving the loop, closes the connection at once, also while an event is being
 * waited for.
 */
export class GengaEvents implements AsyncIterableIterator<GengaEvent> {
  readonly #leaving = new AbortController();
  readonly #events: AsyncGenerator<GengaEvent, void, undefined>;
  readonly #release: () => void;

  constructor(sending: Sending, choice: EventChoice) {
    const { signal, lastEventId } = choice;
    const leave = (): void => {
      this.#leaving.abort(signal === undefined ? undefined : reasonOf(signal));
    };
    if (signal?.aborted === true) leave();
    signal?.addEventListener("abort", leave, { once: true });
    this.#release = () => signal?.removeEventListener("abort", leave);
    const followed = { path: pathOf(choice), lastId: lastEventId };
    this.#events = eventsOf(new MessageSource(sending, followed, this.#leaving.signal));
  }

  async next(): Promise<IteratorResult<GengaEvent, undefined>> {
    try {
      const next = await this.#events.next();
      if (next.done !== true) return next;
    } catch (error) {
      this.#release();
      if (error !== left) throw error;
    }
    this.#release();
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<GengaEvent, undefined>> {
    this.#release();
    this.#leaving.abort(left);
    await this.#events.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const left = new Error("The events are not followed any more.");

function pathOf({ batch, project, scene, shot, tag, status }: EventChoice): string {
  const query = new URLSearchParams();
  const chosen = { project, scene, shot, tag, status: status?.join(",") };
  for (const [name, value] of Object.entries(chosen)) {
    if (value !== undefined) query.set(name, value);
  }
  const path = batch === undefined ? "events" : `batches/${encodeURIComponent(batch)}/events`;
  return `/api/anime/${path}${query.size === 0 ? "" : `?${query.toString()}`}`;
}

async function* eventsOf(source: MessageSource): AsyncGenerator<GengaEvent, void, undefined> {
  for await (const message of source.messages()) {
    const event = eventOf(message);
    yield event;
    if (event.kind === "removed") return;
  }
}

function eventOf({ name, data: text, lastId: id }: Message): GengaEvent {
  const data = JSON.parse(text) as unknown;
  switch (name) {
    case "snapshot":
      return { kind: "snapshot", id, snapshot: data as BatchDetail | JobCounts };
    case "event":
      return { kind: "event", id, event: data as JobEvent };
    case "progress":
      return { kind: "progress", id, progress: data as JobProgress };
    case "removed":
      return { kind: "removed", id, batchId: (data as { batchId: string }).batchId };
    case "closed":
      throw keyNotValid();
    default:
      return { kind: "other", id, name, data };
  }
}

/** `closed` is the last message under a key that does not work any more. */
export function keyNotValid(): GengaError {
  const title = "The API key is not valid any more";
  return new GengaError({ status: 401, code: ownCodes.keyNotValid, title, detail: "" });
}
