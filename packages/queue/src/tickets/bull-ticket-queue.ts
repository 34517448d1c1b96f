import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { types } from "node:util";
import {
  ticketId,
  type Announcement,
  type HeldTicket,
  type LaneHead,
  type TicketEnd,
  type TicketQueue,
  type TicketReference,
} from "@genga/jobs";
import { delayMaxMs, noteLanes, readLaneBands } from "../lanes/lane-tickets.ts";
import { LaneWatch } from "../lanes/lane-watch.ts";
import { consumerClientName, sharedBackends, type SharedBackends } from "../lanes/shared-backend.ts";
import { BullLane, type TicketJob } from "../lanes/bull-lane.ts";
import { isLostTicket, mapRedisError } from "../redis/redis-errors.ts";
import { readRedisHealth, warnOfEviction, type RedisHealth } from "../redis/redis-health.ts";
import { RedisLink, type QueueLogger } from "../redis/redis-link.ts";
import { RedisSubscriber } from "../redis/redis-subscriber.ts";
import { bullJobOf, keptOfLane, readTicket, ticketNote } from "./ticket-data.ts";
import { findTickets, removeFinished } from "./find-tickets.ts";
import { removeTickets } from "./remove-tickets.ts";
import { repriceTickets } from "./reprice-tickets.ts";
import { byLane, chunksOf } from "./ticket-groups.ts";
import { TicketLocks } from "./ticket-locks.ts";
import { TicketReports, type TicketReport } from "./ticket-reports.ts";

export interface TicketQueueOptions {
  redisUrl: string;
  /** The prefix of every key and channel; default: `genga`. */
  prefix?: string;
  /**
   * How long a ticket stays locked after its holder's last renewal; default: 12 s. Locks are renewed three times as
   * often.
   */
  lockMs?: number;
  /**
   * Time between two checks for stalled tickets; default: a quarter of `lockMs`. A dead holder's ticket waits again
   * within the sum of both.
   */
  stallCheckMs?: number;
  /** The name under which Bull Board shows this process; default: the host and the process id. */
  consumerName?: string;
  /** A lane that was empty and got no ticket for so long vanishes, with its history; default: an hour. */
  laneEmptyMs?: number;
  logger: QueueLogger;
}

/** Connects in the background; until then (2 s at most) the first calls wait. */
export function createTicketQueue(options: TicketQueueOptions): BullTicketQueue {
  return new BullTicketQueue(options);
}

const bulkMax = 1000;
const takenTogetherMax = 32;
/** A process that only adds tickets does not hear of lanes that vanish, so it forgets lanes when it knows this many. */
const lanesKept = 1000;

/**
 * `TicketQueue` on BullMQ's manual interface. Uses one connection for commands and one for subscriptions, however many
 * lanes there are.
 */
export class BullTicketQueue implements TicketQueue {
  readonly #prefix: string;
  readonly #logger: QueueLogger;
  readonly #link: RedisLink;
  readonly #subscriber: RedisSubscriber;
  readonly #backends: SharedBackends;
  readonly #watch: LaneWatch;
  readonly #locks: TicketLocks;
  readonly #reports = new TicketReports();
  readonly #lanes = new Map<string, BullLane>();
  readonly #laneOptions: { lockMs: number; stallCheckMs: number; consumerName: string };
  /** BullMQ's token for the holder of a lock: this process, in this run. */
  readonly #token = randomUUID();
  #isConsumer = false;
  #hasWarnedOfEviction = false;

  constructor(options: TicketQueueOptions) {
    const { redisUrl, prefix = "genga", lockMs = 12_000, stallCheckMs = lockMs / 4, logger } = options;
    const { consumerName = `${hostname()}-${process.pid}`, laneEmptyMs: emptyMs = 3_600_000 } = options;
    this.#prefix = prefix;
    this.#logger = logger;
    this.#laneOptions = { lockMs, stallCheckMs, consumerName };
    this.#link = new RedisLink({ redisUrl, purpose: "tickets", logger });
    this.#subscriber = new RedisSubscriber({ redisUrl, purpose: "available tickets", logger });
    this.#backends = sharedBackends(this.#link.redis, prefix);
    const laneNamed = (lane: string): BullLane => this.#lane(lane);
    this.#locks = new TicketLocks({ link: this.#link, token: this.#token, lockMs, laneNamed, logger });
    this.#watch = new LaneWatch({
      ...{ link: this.#link, subscriber: this.#subscriber, prefix, token: this.#token },
      ...{ stallCheckMs, emptyMs, laneNamed, logger },
      onVanished: (lane) => {
        if (!this.#locks.holdsOf(lane)) this.#lanes.delete(lane);
      },
    });
    this.#link.onReady(() => void this.#nameConnection());
    this.#link.onReady(() => void this.#warnOfEviction());
  }

  async add(announcements: Announcement[], { areNew = false } = {}): Promise<void> {
    const groups = byLane(announcements);
    const lanes = [...groups].map(([name, group]) => ({ lane: this.#lane(name), group }));
    if (lanes.length === 0) return;
    const names = [...groups.keys()];
    await this.#link.run(async (redis) => {
      // Before the tickets, so that no process removes the lane meanwhile; and after them, with the message.
      await noteLanes(redis, this.#prefix, names);
      for (const { lane, group } of lanes) {
        for (const chunk of chunksOf(group, bulkMax)) {
          if (!areNew) await removeFinished(lane, redis, chunk);
          await lane.queue.addBulk(chunk.map(bullJobOf));
        }
      }
      await this.#watch.announce(names);
    });
  }

  async lanes(): Promise<LaneHead[]> {
    return this.#link.run(() => this.#watch.heads());
  }

  async countBands(lanes: readonly string[]): Promise<number[][]> {
    return this.#link.run((redis) => readLaneBands(redis, this.#prefix, lanes));
  }

  async take(lane: string, count: number): Promise<HeldTicket[]> {
    const bullLane = this.#lane(lane);
    this.#consume();
    this.#watch.noteChange(lane);
    return this.#link.run(async () => {
      const taken: HeldTicket[] = [];
      while (taken.length < count) {
        const wanted = Math.min(count - taken.length, takenTogetherMax);
        const tries = Array.from({ length: wanted }, () => bullLane.takeOne(this.#token));
        const { jobs, failure } = this.#gather(await Promise.allSettled(tries));
        for (const job of jobs) {
          const ticket = await this.#hold(bullLane, job);
          if (ticket !== null) taken.push(ticket);
        }
        // Tickets that were taken are returned even if the connection broke right afterwards.
        if (failure !== null && taken.length === 0) throw failure;
        if (jobs.length < wanted) break;
      }
      this.#watch.tell(lane);
      return taken;
    });
  }

  priorityOf(ticket: HeldTicket): number | null {
    return this.#locks.find(ticket)?.priority ?? null;
  }

  async finish(ticket: HeldTicket, end: TicketEnd): Promise<void> {
    await this.#release(ticket, async (job) => {
      if (end.kind === "completed") this.#reports.add(job, { percent: 100 });
      // Not awaited before the end: Redis takes commands in their order, and a finished ticket can still get its report.
      const reported = this.#reports.flushOne(job);
      job.opts.removeOnComplete = job.opts.removeOnFail = keptOfLane(this.#watch.lanesCount);
      if (end.kind === "failed") await job.moveToFailed(new Error(end.reason), this.#token, false);
      else await job.moveToCompleted(ticketNote(end), this.#token, false);
      await reported;
      this.#watch.tell(ticket.lane);
    });
  }

  async giveBack(ticket: HeldTicket, { delayMs }: { delayMs: number }): Promise<void> {
    await this.#release(ticket, async (job) => {
      this.#watch.noteChange(ticket.lane);
      if (delayMs <= 0) {
        await job.moveToWait(this.#token);
        this.#watch.tell(ticket.lane);
        return;
      }
      const dueAt = Date.now() + Math.min(delayMs, delayMaxMs);
      await job.moveToDelayed(dueAt, this.#token);
      this.#watch.tell(ticket.lane);
      this.#watch.wakeAt(ticket.lane, dueAt);
    });
  }

  report(ticket: HeldTicket, progress: TicketReport): void {
    const job = this.#locks.find(ticket);
    if (job !== undefined) this.#reports.add(job, progress);
  }

  async reprice(announcements: Announcement[]): Promise<void> {
    for (const [lane, group] of byLane(announcements)) {
      const bullLane = this.#lane(lane);
      for (const chunk of chunksOf(group, bulkMax)) {
        await this.#link.run((redis) => repriceTickets(bullLane, redis, chunk));
      }
      this.#watch.tell(lane);
    }
  }

  async remove(tickets: (TicketReference & { lane: string })[]): Promise<void> {
    for (const [lane, group] of byLane(tickets)) {
      const bullLane = this.#lane(lane);
      for (const chunk of chunksOf(group, bulkMax)) {
        await this.#link.run((redis) => removeTickets(bullLane, redis, chunk.map(ticketId)));
      }
      this.#watch.tell(lane);
    }
  }

  async findMissing(announcements: Announcement[]): Promise<Announcement[]> {
    const missing: Announcement[] = [];
    for (const [lane, group] of byLane(announcements)) {
      for (const chunk of chunksOf(group, bulkMax)) {
        const states = await this.#link.run((redis) => findTickets(this.#lane(lane), redis, chunk));
        missing.push(...chunk.filter((_, index) => states[index] !== "live"));
      }
      // A process that died while it added these tickets may have left a lane that no other process knows.
      await this.#link.run((redis) => noteLanes(redis, this.#prefix, [lane]));
    }
    return missing;
  }

  async wasWiped(): Promise<boolean> {
    return (await this.#link.run((redis) => redis.exists(this.#sentinelKey()))) === 0;
  }

  async rememberSentinel(): Promise<void> {
    await this.#link.run((redis) => redis.set(this.#sentinelKey(), new Date().toISOString()));
  }

  onAvailable(listener: () => void): () => void {
    this.#consume();
    return this.#watch.listen(listener);
  }

  /** Looks at all lanes now; otherwise that happens each second once this process takes tickets. */
  tick(): Promise<void> {
    return this.#watch.tick();
  }

  /**
   * For health checks.
   * @throws TicketsUnavailableError
   */
  ping(): Promise<RedisHealth> {
    return this.#link.run(readRedisHealth);
  }

  /**
   * Closes the connections. Tickets that are still held wait again once their locks run out; give them back before
   * closing to avoid that delay.
   */
  async close(): Promise<void> {
    await this.#watch.close();
    this.#locks.close();
    if (this.#link.isReady()) await this.#reports.flush();
    this.#reports.close();
    await this.#subscriber.close();
    for (const lane of this.#lanes.values()) await lane.close();
    await this.#link.close();
  }

  #lane(name: string): BullLane {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    if (this.#lanes.size >= lanesKept) {
      for (const lane of this.#lanes.keys()) if (!this.#locks.holdsOf(lane)) this.#lanes.delete(lane);
    }
    const lane = new BullLane({
      lane: name,
      prefix: this.#prefix,
      redis: this.#link.redis,
      backends: this.#backends,
      ...this.#laneOptions,
      onError: (error) => {
        // Connection errors arrive here a second time; the link has logged the outage already.
        if (mapRedisError(error) === error)
          this.#logger.error({ err: error, lane: name }, "BullMQ reported an error.");
      },
    });
    this.#lanes.set(name, lane);
    return lane;
  }

  /** From now on this process takes tickets. */
  #consume(): void {
    if (this.#isConsumer) return;
    this.#isConsumer = true;
    this.#watch.start();
    if (this.#link.isReady()) void this.#nameConnection();
  }

  /** Bull Board reads from the names of connections who takes tickets. */
  async #nameConnection(): Promise<void> {
    if (!this.#isConsumer) return;
    const name = this.#laneOptions.consumerName.replaceAll(/[^!-~]/g, "-");
    try {
      await this.#link.redis.client("SETNAME", `${consumerClientName(this.#prefix)}:w:${name}`);
    } catch (error) {
      // Some providers refuse the command; then Bull Board shows no consumers. The link logs broken connections.
      if (this.#link.isReady()) this.#logger.info({ err: error }, "Redis refused a name of the connection.");
    }
  }

  #gather(results: PromiseSettledResult<TicketJob | undefined>[]): {
    jobs: TicketJob[];
    failure: Error | null;
  } {
    const jobs: TicketJob[] = [];
    let failure: Error | null = null;
    for (const result of results) {
      if (result.status === "rejected") {
        const reason = mapRedisError(result.reason);
        failure = types.isNativeError(reason)
          ? reason
          : new Error("Taking a ticket failed.", { cause: reason });
      } else if (result.value !== undefined) {
        jobs.push(result.value);
      }
    }
    return { jobs, failure };
  }

  async #hold(bullLane: BullLane, job: TicketJob): Promise<HeldTicket | null> {
    const reference = readTicket(job);
    if ("garbage" in reference) {
      this.#logger.warn(
        { lane: bullLane.lane, ticket: job.id, reason: reference.garbage },
        "Refused a ticket.",
      );
      await this.#failGarbage(bullLane, job, reference.garbage);
      return null;
    }
    const ticket: HeldTicket = { ...reference, lane: bullLane.lane };
    this.#locks.hold(ticket, job);
    return ticket;
  }

  /**
   * A failure here does not fail the whole take: the good tickets of the same take are already locked, and only the
   * caller can give them back. The refused ticket is not held, so its lock runs out, and the next taker refuses it
   * again.
   */
  async #failGarbage({ lane }: BullLane, job: TicketJob, reason: string): Promise<void> {
    try {
      await job.moveToFailed(new Error(reason), this.#token, false);
    } catch (error) {
      this.#logger.warn({ err: error, lane, ticket: job.id }, "A refused ticket could not be failed yet.");
    }
  }

  /**
   * Releases a ticket even if Redis cannot be reached: its lock then runs out, and another process takes it and checks
   * its row.
   */
  async #release(ticket: HeldTicket, end: (job: TicketJob) => Promise<void>): Promise<void> {
    const job = this.#locks.find(ticket);
    if (job === undefined) return;
    this.#locks.forget(ticket);
    try {
      await this.#link.run(() => end(job));
    } catch (error) {
      if (!isLostTicket(error)) throw error;
    } finally {
      this.#reports.forget(job);
    }
  }

  async #warnOfEviction(): Promise<void> {
    if (this.#hasWarnedOfEviction) return;
    this.#hasWarnedOfEviction = warnOfEviction(await this.ping().catch(() => null), this.#logger);
  }

  #sentinelKey(): string {
    return `${this.#prefix}:sentinel`;
  }
}
