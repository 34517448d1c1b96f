/**
 * Events for one reader that may be slower than their source. An event with a key replaces the unread one of that key
 * and takes its place at the end, so progress figures and pictures never pile up. All other events are kept in order.
 * The buffer holds at most `eventsMax` events and then drops the oldest.
 */
export class EventBuffer<Event> {
  readonly #events = new Map<string | number, Event>();
  readonly #eventsMax: number;
  #sequence = 0;
  #wake: (() => void) | undefined;
  #end: { error: Error | undefined } | undefined;

  constructor(eventsMax: number) {
    this.#eventsMax = eventsMax;
  }

  push(event: Event, key?: string): void {
    if (this.#end !== undefined) return;
    this.#sequence += 1;
    const place = key ?? this.#sequence;
    this.#events.delete(place);
    this.#events.set(place, event);
    if (this.#events.size > this.#eventsMax) {
      for (const oldest of this.#events.keys()) {
        this.#events.delete(oldest);
        break;
      }
    }
    this.#wake?.();
  }

  /** Ends the stream: the reader receives the remaining events, and then the end or the error. */
  end(error?: Error): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** Yields until `end`; throws the abort reason of `signal`. For one reader at a time. */
  async *read(signal: AbortSignal | undefined): AsyncGenerator<Event, void, undefined> {
    const wake = (): void => {
      this.#wake?.();
    };
    signal?.addEventListener("abort", wake, { once: true });
    try {
      for (;;) {
        signal?.throwIfAborted();
        const next = this.#shift();
        if (next !== undefined) {
          yield next.event;
          continue;
        }
        if (this.#end !== undefined) {
          if (this.#end.error !== undefined) throw this.#end.error;
          return;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    } finally {
      signal?.removeEventListener("abort", wake);
    }
  }

  #shift(): { event: Event } | undefined {
    for (const [place, event] of this.#events) {
      this.#events.delete(place);
      return { event };
    }
    return undefined;
  }
}
