import { NumberHeap } from "./number-heap.ts";
import { type Scheduler } from "./scheduler.ts";
import { type Workload } from "./workload.ts";

/** The first job that the server may serve, whatever model it has loaded. */
export class FirstInFirstOut implements Scheduler {
  readonly name = "first-in-first-out";
  readonly #work: Workload;
  /** Waiting jobs by the kind of server that they need at least. */
  readonly #queues: NumberHeap[];
  waiting = 0;

  constructor(work: Workload) {
    this.#work = work;
    this.#queues = Array.from({ length: Math.max(...work.kindOfServer) + 1 }, () => new NumberHeap());
  }

  arrive(job: number): void {
    this.waiting += 1;
    this.#queues[kindOf(this.#work, job)]?.push(job, job);
  }

  take(server: number): number {
    let first: NumberHeap | null = null;
    for (const queue of this.#queues.slice(0, (this.#work.kindOfServer[server] ?? 0) + 1)) {
      if (queue.firstKey < (first?.firstKey ?? Infinity)) first = queue;
    }
    if (first === null) return -1;
    this.waiting -= 1;
    return first.pop();
  }

  groupOf(server: number): number {
    return this.#work.kindOfServer[server] ?? 0;
  }
}

/** Every job goes to the eligible server with the fewest jobs when it arrives, and stays there. */
export class ShortestQueue implements Scheduler {
  readonly name = "shortest-queue";
  readonly #work: Workload;
  readonly #queues: NumberHeap[];
  readonly #lengths: Int32Array;
  waiting = 0;

  constructor(work: Workload) {
    this.#work = work;
    this.#queues = Array.from({ length: work.servers }, () => new NumberHeap());
    this.#lengths = new Int32Array(work.servers);
  }

  arrive(job: number): void {
    this.waiting += 1;
    const { kindOfServer } = this.#work;
    const lowestKind = kindOf(this.#work, job);
    let shortest = -1;
    let length = Infinity;
    for (let server = 0; server < this.#lengths.length; server += 1) {
      const own = this.#lengths[server] ?? 0;
      if (own < length && (kindOfServer[server] ?? 0) >= lowestKind) [shortest, length] = [server, own];
    }
    this.#lengths[shortest] = length + 1;
    this.#queues[shortest]?.push(job, job);
  }

  take(server: number): number {
    const queue = this.#queues[server];
    if (queue === undefined || queue.size === 0) return -1;
    this.waiting -= 1;
    return queue.pop();
  }

  ended(server: number): void {
    this.#lengths[server] = (this.#lengths[server] ?? 1) - 1;
  }

  groupOf(server: number): number {
    return server;
  }
}

function kindOf({ lanes, laneOfJob }: Workload, job: number): number {
  return lanes[laneOfJob[job] ?? 0]?.lowestKind ?? 0;
}
