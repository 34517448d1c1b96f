import { busyWith, type BusyFor, type RunningWork, type WaitingWork, type WorkOutlook } from "@genga/jobs";

/** How long what the farm has to do counts as fresh, whoever asks. */
const freshMs = 1_000;

interface Read {
  readAt: number;
  running: Promise<RunningWork[]>;
  waiting: Promise<WaitingWork[]>;
}

/** What the servers have, and what waits for them: read once a second at most. */
export class FarmWork {
  readonly #outlook: Pick<WorkOutlook, "listRunning" | "listWaiting">;
  #latest: Read | undefined;

  constructor(outlook: Pick<WorkOutlook, "listRunning" | "listWaiting">) {
    this.#outlook = outlook;
  }

  running(): Promise<RunningWork[]> {
    return this.#read().running;
  }

  /** How long each of these servers is busy with what it has; `null` = of one of its jobs nothing is known. */
  async busyFor(
    serverIds: readonly string[],
    but?: (work: RunningWork) => boolean,
  ): Promise<BusyFor[] | null> {
    const busy = new Map(serverIds.map((id): [string, BusyFor] => [id, { lowMs: 0, ms: 0, highMs: 0 }]));
    for (const work of await this.running()) {
      const server = busy.get(work.serverId);
      if (server === undefined || but?.(work) === true) continue;
      const more = busyWith(work);
      if (more === null) return null;
      server.lowMs += more.lowMs;
      server.ms += more.ms;
      server.highMs += more.highMs;
    }
    return [...busy.values()];
  }

  /** What all jobs in other lanes take together; lanes of which nothing was measured are left out. */
  async competingMs(lane: string): Promise<number> {
    const others = (await this.#read().waiting).filter((waiting) => waiting.lane !== lane);
    return others.reduce((sum, { ms }) => sum + (ms ?? 0), 0);
  }

  #read(): Read {
    const now = performance.now();
    if (this.#latest !== undefined && now - this.#latest.readAt < freshMs) return this.#latest;
    const read = { readAt: now, running: this.#outlook.listRunning(), waiting: this.#outlook.listWaiting() };
    this.#latest = read;
    // A failed reading rejects for everybody who waits for it, and is not reused.
    for (const reading of [read.running, read.waiting])
      reading.catch(() => {
        if (this.#latest === read) this.#latest = undefined;
      });
    return read;
  }
}
