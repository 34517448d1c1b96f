import { type Place } from "@genga/jobs";

/** A place, or how many are in use. */
export type PlaceOrUse = Place | { used: number };

/** Requests in other processes hold places, too, and nothing tells of their end here. */
const lookMs = 500;
/** Requests of one tenant that wait in one process, unless the line is made for fewer. */
const waitingMaxDefault = 10_000;

/** One that waits. */
class Waiter {
  #isNews = false;
  #wake: () => void = () => undefined;

  /** A place has become free. */
  tell(): void {
    this.#isNews = true;
    this.#wake();
  }

  /** What is told from now on ends the next rest, or prevents it. */
  begin(): void {
    this.#isNews = false;
  }

  async rest(ms: number, leaving: AbortSignal): Promise<void> {
    if (this.#isNews || leaving.aborted) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        leaving.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      leaving.addEventListener("abort", end, { once: true });
      this.#wake = end;
    });
  }
}

/** Requests that wait for a place of their tenant, first come, first served: only the first one tries. */
export class RequestLine {
  readonly #lines = new Map<string, Set<Waiter>>();
  readonly #waitingMax: number;

  constructor(waitingMax = waitingMaxDefault) {
    this.#waitingMax = waitingMax;
  }

  isEmpty(tenantId: string): boolean {
    return !this.#lines.has(tenantId);
  }

  /** A request of the tenant has ended here. */
  noteFree(tenantId: string): void {
    tellFirst(this.#lines.get(tenantId));
  }

  /**
   * Waits for a place.
   * @param waiting.ms how long, at most
   * @param waiting.leaving aborted when the client has left
   * @returns the number of places in use when none became free in time
   */
  async wait(
    tenantId: string,
    take: () => Promise<PlaceOrUse>,
    { used, ms, leaving }: { used: number; ms: number; leaving: AbortSignal },
  ): Promise<PlaceOrUse> {
    const line = this.#lines.get(tenantId) ?? new Set();
    if (line.size >= this.#waitingMax) return { used };
    this.#lines.set(tenantId, line);
    const own = new Waiter();
    line.add(own);
    const until = performance.now() + ms;
    try {
      for (;;) {
        const leftMs = until - performance.now();
        if (leftMs <= 0 || leaving.aborted) return { used };
        const [first] = line;
        own.begin();
        const place = first === own ? await take() : null;
        if (place !== null && "release" in place) return place;
        await own.rest(first === own ? Math.min(lookMs, leftMs) : leftMs, leaving);
      }
    } finally {
      line.delete(own);
      if (line.size === 0) this.#lines.delete(tenantId);
      else tellFirst(line);
    }
  }
}

function tellFirst(line: ReadonlySet<Waiter> | undefined): void {
  const [first] = line ?? [];
  first?.tell();
}
