/** A way to give jobs to servers. Jobs and servers are numbers; times are milliseconds since the servers began. */
export interface Scheduler {
  readonly name: string;
  /** How many jobs have arrived and were not taken. */
  readonly waiting: number;
  arrive(job: number, now: number): void;
  /** The next job of a server that stands empty, or -1. */
  take(server: number, now: number): number;
  /** A job to wait behind the running one of the server, or -1; absent if jobs never wait on servers. */
  takeBehind?(server: number, now: number): number;
  /**
   * Which of the prompts that wait on busy servers begin on empty ones instead; absent if they never do. At most one for each
   * empty server.
   * @param empty those that nothing was left for, by `groupOf`
   * @param prompts all that wait behind running jobs
   */
  takeBack?(empty: readonly number[][], prompts: readonly PromptBehind[], now: number): TakenBackPrompt[];
  /** @param isEmpty whether nothing waits behind the job that has ended */
  ended?(server: number, job: number, now: number, isEmpty: boolean): void;
  /** Of servers with the same answer, the one that has stood empty longest is asked; if it takes nothing, none would. */
  groupOf(server: number): string | number;
  /** When the scheduler next has something to do by itself, or infinity; absent if it never has. */
  readonly nextTimeMs?: number;
  onTime?(now: number): void;
}

/** A prompt that waits behind the running job of a server. */
export interface PromptBehind {
  job: number;
  server: number;
  runningJob: number;
  /** When the running job began, its load included. */
  runningSinceMs: number;
}

/** A prompt that is taken back, and the empty server on which it begins. */
export interface TakenBackPrompt {
  job: number;
  from: number;
  to: number;
}
