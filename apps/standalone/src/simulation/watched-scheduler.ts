import { type LaneScheduler } from "./lane-scheduler.ts";
import { type PromptBehind, type Scheduler, type TakenBackPrompt } from "./scheduler.ts";

/** A job arrived, or was taken by a server, or a server's job ended. */
export interface SchedulerEvent {
  arrived?: number;
  taken?: number;
  by?: number;
  ended?: number;
}

/** For tests: watches what a scheduler gives to whom, and when it leaves a server empty. */
export class WatchedScheduler implements Scheduler {
  readonly name = "watched";
  readonly started: { job: number; server: number; now: number }[] = [];
  readonly #scheduler: LaneScheduler;
  readonly #onRefusal: (server: number, now: number) => void;
  readonly #onEvent: (event: SchedulerEvent, now: number) => void;

  constructor(
    scheduler: LaneScheduler,
    onEvent: (event: SchedulerEvent, now: number) => void,
    onRefusal: (server: number, now: number) => void,
  ) {
    this.#scheduler = scheduler;
    this.#onEvent = onEvent;
    this.#onRefusal = onRefusal;
  }

  get waiting(): number {
    return this.#scheduler.waiting;
  }

  get nextTimeMs(): number {
    return this.#scheduler.nextTimeMs;
  }

  arrive(job: number, now: number): void {
    this.#scheduler.arrive(job, now);
    this.#onEvent({ arrived: job }, now);
  }

  take(server: number, now: number): number {
    const job = this.#scheduler.take(server, now);
    if (job === -1) this.#onRefusal(server, now);
    else {
      this.started.push({ job, server, now });
      this.#onEvent({ taken: job, by: server }, now);
    }
    return job;
  }

  takeBehind(server: number, now: number): number {
    const job = this.#scheduler.takeBehind(server, now);
    if (job === -1) return job;
    this.started.push({ job, server, now });
    this.#onEvent({ taken: job, by: server }, now);
    return job;
  }

  takeBack(empty: readonly number[][], prompts: readonly PromptBehind[], now: number): TakenBackPrompt[] {
    return this.#scheduler.takeBack(empty, prompts, now);
  }

  ended(server: number, job: number, now: number, isEmpty: boolean): void {
    this.#scheduler.ended(server, job, now, isEmpty);
    this.#onEvent({ ended: server }, now);
  }

  groupOf(server: number): string {
    return this.#scheduler.groupOf(server);
  }

  onTime(now: number): void {
    this.#scheduler.onTime(now);
  }
}
