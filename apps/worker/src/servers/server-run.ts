/** What a server needs to know of a run on it, and what it reports to the run. `job/run.ts` implements it. */
export interface ServerRun {
  readonly promptId: string;
  /** The lane of its job. */
  readonly lane: string;
  /** The run's prompt is on the server, or may get there. A run that saves outputs holds no slot. */
  readonly holdsSlot: boolean;
  readonly isExecuting: boolean;
  /** How long its prompt has been executing; 0 = it is not, infinite = that is not known. @param now monotonic milliseconds */
  executingMs(now: number): number;
  /** The model that the server must have loaded for its prompt; `null` = none. */
  readonly mainModel: string | null;
  /** The server has the run's prompt, as far as this worker knows. */
  readonly wasSent: boolean;
  /** The run's prompt may be in the server's queue, before a prompt that is posted now. */
  readonly mayBeOnServer: boolean;
  /**
   * The run's prompt is about to be posted behind the prompts of the runs `ahead`, and perhaps behind those of other
   * clients.
   */
  notePost(ahead: Iterable<ServerRun>, isBehindOthers: boolean): void;
  /** The prompt of that run has left the server normally. */
  noteGone(run: ServerRun): void;
  /** Prompts of other clients were seen on the server. */
  noteOthers(): void;
  /** The server gets no new work from now on: if the prompt waits, other servers may begin it sooner. */
  noteServerHeld(): void;
  stop(why: "server-lost"): void;
}
