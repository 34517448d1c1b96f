/** A way to give jobs to servers. Jobs and servers are numbers; times are milliseconds since the servers began. */
export interface Scheduler {
  readonly name: string;
  /** How many jobs have arrived and were not taken. */
  readonly waiting: number;
  arrive(job: number, now: number): void;
  /** The next job of a server that stands empty, or -1. */
  take(server: number, now: number): number;
  ended?(server: number, job: number, now: number): void;
  /** Of servers with the same answer, the one that has stood empty longest is asked; if it takes nothing, none would. */
  groupOf(server: number): string | number;
  /** When the scheduler next has something to do by itself, or infinity; absent if it never has. */
  readonly nextTimeMs?: number;
  onTime?(now: number): void;
}
