import { Queue, Worker, type Job } from "bullmq";
import { type Redis } from "ioredis";
import { JobError, type TicketReference } from "@genga/jobs";
import { delayMaxMs } from "./lane-tickets.ts";
import { type SharedBackends } from "./shared-backend.ts";
import { isLostTicket } from "../redis/redis-errors.ts";

export type TicketJob = Job<TicketReference, string | null>;

/** A lane's name becomes part of Redis keys, whose parts `:` separates, so a name must not contain it. */
export class InvalidLaneError extends JobError {
  readonly code = "invalid-lane";

  constructor(lane: string) {
    super(
      `"${lane}" cannot name a lane: 1 to 100 lower-case letters, digits, dots, hyphens and underscores can.`,
    );
  }
}

const promotedAtOnce = 100;

export interface BullLaneOptions {
  lane: string;
  prefix: string;
  redis: Redis;
  /** Puts all lanes of the process on one connection. */
  backends: SharedBackends;
  /** The name under which Bull Board shows the process that takes tickets. */
  consumerName: string;
  lockMs: number;
  stallCheckMs: number;
  onError: (error: Error) => void;
}

/** One BullMQ queue, used by explicit calls: the class does not wait, loop or fetch by itself. */
export class BullLane {
  readonly lane: string;
  readonly queue: Queue<TicketReference, string | null>;
  readonly #options: BullLaneOptions;
  #worker: Worker<TicketReference, string | null> | null = null;

  /** @throws InvalidLaneError */
  constructor(options: BullLaneOptions) {
    if (!/^[a-z0-9][a-z0-9._-]{0,99}$/.test(options.lane)) throw new InvalidLaneError(options.lane);
    this.lane = options.lane;
    this.#options = options;
    // The lane's `meta` is written with the first tickets (`noteLanes`), also after the lane has vanished once.
    this.queue = new Queue(options.lane, { ...this.#shared(), skipMetasUpdate: true }, options.backends);
    this.queue.on("error", options.onError);
  }

  /** The best ticket, locked under `token`, or `undefined`. Also brings back delayed tickets that are due. */
  takeOne(token: string): Promise<TicketJob | undefined> {
    return this.#consumer().getNextJob(token, { block: false });
  }

  /** Renews locks; returns the ids whose lock this process has lost. */
  extendLocks(ids: string[], token: string, lockMs: number): Promise<string[]> {
    const tokens = ids.map(() => token);
    return this.#consumer().extendJobLocks(ids, tokens, lockMs);
  }

  /**
   * Moves tickets whose lock has run out back to the head of the waiting tickets, and returns their ids. One check
   * marks a ticket; a later check moves it if its lock is gone by then.
   */
  returnStalled(): Promise<string[]> {
    return this.#consumer().getBackend().moveStalledJobsToWait();
  }

  /**
   * Makes tickets that were delayed too long available now. A process with a fast clock may delay a ticket too long. No
   * legitimate delay exceeds `delayMaxMs`, so every ticket that is due later than that, by the clock of Redis, is
   * promoted.
   */
  async promoteDelayedTooLong(redis: Redis): Promise<void> {
    const [seconds] = await redis.time();
    const horizon = (Number(seconds) * 1000 + 2 * delayMaxMs) * 4096;
    const ids = await redis.zrange(
      String(this.queue.keys["delayed"]),
      horizon,
      "+inf",
      "BYSCORE",
      "LIMIT",
      0,
      promotedAtOnce,
    );
    for (const id of ids) {
      try {
        const job = await this.queue.getJob(id);
        if (job === undefined) await redis.zrem(String(this.queue.keys["delayed"]), id);
        else await job.promote();
      } catch (error) {
        // Another process has promoted the ticket already.
        if (!isLostTicket(error)) throw error;
      }
    }
  }

  /** The key of a ticket's hash in Redis. */
  ticketKey(id: string): string {
    return this.queue.toKey(id);
  }

  async close(): Promise<void> {
    await this.#worker?.close(true);
    await this.queue.close();
  }

  /** Created when the first ticket is taken. */
  #consumer(): Worker<TicketReference, string | null> {
    if (this.#worker !== null) return this.#worker;
    const { lane, consumerName, lockMs, stallCheckMs, onError } = this.#options;
    const options = {
      ...this.#shared(),
      name: consumerName,
      autorun: false,
      skipLockRenewal: true,
      skipStalledCheck: true,
      lockDuration: lockMs,
      // Shorter than the time between checks, because BullMQ refuses a check before this interval has passed.
      stalledInterval: Math.ceil(stallCheckMs * 0.8),
      // A job's row decides whether the job has failed too often, not the number of times its ticket changed hands.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    };
    this.#worker = new Worker(lane, null, options, this.#options.backends);
    this.#worker.on("error", onError);
    return this.#worker;
  }

  #shared(): { connection: Redis; prefix: string; skipVersionCheck: boolean } {
    // The version check would be a first command, and its failure would disable the queue for good.
    return { connection: this.#options.redis, prefix: this.#options.prefix, skipVersionCheck: true };
  }
}
