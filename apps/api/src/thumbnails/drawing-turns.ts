import { RefusedError } from "../http/problem-document.ts";

export interface DrawingTurnsOptions {
  /** Pictures that one process draws at once. */
  atOnce: number;
  /** Further ones wait: so many of one tenant, and so many in all. */
  waitingMax: { ofTenant: number; inAll: number };
}

/** Of thumbnails. */
const thumbnailTurns: DrawingTurnsOptions = { atOnce: 2, waitingMax: { ofTenant: 32, inAll: 200 } };

interface Waiting {
  begin: () => void;
  refuse: (reason: unknown) => void;
}

/**
 * The order in which pictures are drawn: of the tenants that wait, the one of which fewest are being drawn comes next,
 * and of equals the one that came last the longest ago. Of one tenant, first come, first served.
 */
export class DrawingTurns {
  readonly #options: DrawingTurnsOptions;
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #drawing = new Map<string, number>();
  /** The numbers of the latest turns of tenants that wait or are drawn for. */
  readonly #latestTurns = new Map<string, number>();
  #turn = 0;
  #drawn = 0;
  #count = 0;

  constructor(options: DrawingTurnsOptions = thumbnailTurns) {
    this.#options = options;
  }

  /**
   * @param signal ends the wait, not the work
   * @throws RefusedError `too-many-thumbnails`, or the reason of the signal
   */
  async take<Result>(tenantId: string, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    signal.throwIfAborted();
    if (this.#drawn < this.#options.atOnce) this.#begin(tenantId);
    else await this.#wait(tenantId, signal);
    try {
      return await work();
    } finally {
      this.#end(tenantId);
      this.#callNext();
    }
  }

  async #wait(tenantId: string, signal: AbortSignal): Promise<void> {
    const { waitingMax } = this.#options;
    const own = this.#waiting.get(tenantId)?.length ?? 0;
    if (own >= waitingMax.ofTenant) throw tooMany();
    if (this.#count >= waitingMax.inAll) this.#makeRoomFor(own);
    const waits = this.#waiting.get(tenantId) ?? [];
    this.#waiting.set(tenantId, waits);
    this.#count += 1;
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        begin: () => {
          signal.removeEventListener("abort", leave);
          resolve();
        },
        refuse: (reason) => {
          signal.removeEventListener("abort", leave);
          // The reason is an error of ours, or that of the signal.
          reject(reason instanceof Error ? reason : new Error(String(reason)));
        },
      };
      const leave = (): void => {
        this.#remove(tenantId, waiting);
        waiting.refuse(signal.reason);
      };
      waits.push(waiting);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  /** The latest of the tenant that waits for most is refused, unless the newcomer would then wait for as many. */
  #makeRoomFor(own: number): void {
    const [tenantId, waits] = [...this.#waiting].reduce((most, each) =>
      each[1].length > most[1].length ? each : most,
    );
    const latest = waits.at(-1);
    if (latest === undefined || waits.length <= own + 1) throw tooMany();
    this.#remove(tenantId, latest);
    latest.refuse(tooMany());
  }

  #callNext(): void {
    const [next] = [...this.#waiting.keys()].sort(
      (one, other) =>
        this.#drawingOf(one) - this.#drawingOf(other) ||
        (this.#latestTurns.get(one) ?? 0) - (this.#latestTurns.get(other) ?? 0),
    );
    const first = next === undefined ? undefined : this.#waiting.get(next)?.[0];
    if (next === undefined || first === undefined) return;
    this.#remove(next, first);
    this.#begin(next);
    first.begin();
  }

  #remove(tenantId: string, waiting: Waiting): void {
    const waits = this.#waiting.get(tenantId) ?? [];
    const at = waits.indexOf(waiting);
    if (at === -1) return;
    waits.splice(at, 1);
    this.#count -= 1;
    if (waits.length === 0) this.#waiting.delete(tenantId);
    this.#forgetIdle(tenantId);
  }

  #forgetIdle(tenantId: string): void {
    if (!this.#waiting.has(tenantId) && !this.#drawing.has(tenantId)) this.#latestTurns.delete(tenantId);
  }

  #drawingOf(tenantId: string): number {
    return this.#drawing.get(tenantId) ?? 0;
  }

  #begin(tenantId: string): void {
    this.#drawn += 1;
    this.#turn += 1;
    this.#latestTurns.set(tenantId, this.#turn);
    this.#drawing.set(tenantId, this.#drawingOf(tenantId) + 1);
  }

  #end(tenantId: string): void {
    this.#drawn -= 1;
    const left = this.#drawingOf(tenantId) - 1;
    if (left === 0) this.#drawing.delete(tenantId);
    else this.#drawing.set(tenantId, left);
    this.#forgetIdle(tenantId);
  }
}

function tooMany(): RefusedError {
  return new RefusedError("too-many-thumbnails", "Too many pictures wait to be drawn.", {
    headers: { "retry-after": "2" },
  });
}
