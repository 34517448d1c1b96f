/** What a server asks of a run on it, and what it tells it. Implemented by `job/run.ts`. */
export interface ServerRun {
  readonly promptId: string;
  /** The run's prompt is on the server, or may come there; saving outputs holds no slot. */
  readonly holdsSlot: boolean;
  readonly isExecuting: boolean;
  /** Its prompt may be in the server's queue before one that is posted now. */
  readonly mayBeOnServer: boolean;
  /** Its prompt is about to be posted behind those of these runs, and perhaps behind those of other clients. */
  notePost(ahead: Iterable<ServerRun>, isBehindOthers: boolean): void;
  /** The server let go of that run's prompt, in good order. */
  noteGone(run: ServerRun): void;
  /** Other clients' prompts were seen on the server. */
  noteOthers(): void;
  stop(why: "server-lost"): void;
}
