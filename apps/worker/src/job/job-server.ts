import { type ComfyUIConnector, type ServerDefinitions } from "@genga/comfyui";
import { type Run } from "./run.ts";

/** What a run needs of its server. The folder `servers` implements it. */
export interface JobServer {
  readonly id: string;
  /** The server's identity, for people; requests go to its address. */
  readonly url: string;
  readonly connector: ComfyUIConnector;
  /** The server's definitions; `null` until it was asked for them. */
  readonly definitions: ServerDefinitions | null;
  /** The size of the largest request that the server accepts; `null` = not known. */
  readonly uploadBytesMax: number | null;
  /** The server gets no new work, because an operator or its worker wants so; its loss is then no crash. */
  readonly isDraining: boolean;
  /** It was leaving with its last owner, so what that one left on it may have ended with it, which is no crash either. */
  readonly wasLeaving: boolean;
  /** The server answered the last check. */
  readonly isAnswering: boolean;
  /** Why the server takes no work, for operators; `null` while it is online. */
  readonly reason: string | null;

  /**
   * The run begins and holds a slot of this server.
   * @param waitedMs how long its ticket had been waiting; `null` = it was adopted, or that is not known
   */
  addRun(run: Run, waitedMs: number | null): void;
  removeRun(run: Run): void;

  /** Checks the server now; afterwards `isAnswering` is up to date. @throws the signal's reason */
  checkNow(signal: AbortSignal): Promise<void>;
  /**
   * Asks the server for its definitions now. If it does not answer, returns the known ones.
   * @throws the signal's reason
   */
  readDefinitionsAgain(signal: AbortSignal): Promise<ServerDefinitions>;

  /** This run's prompt is about to be posted. */
  notePost(run: Run): void;
  /** The server has accepted this run's prompt. */
  noteAccepted(run: Run): void;
  /**
   * This run's prompt begins to execute.
   * @returns whether the server must load its model first; `null` = not known
   */
  noteExecution(run: Run): boolean | null;
  /** The server was told to unload its models. */
  noteUnloaded(): void;
  /** A prompt ended, so there is a place for the next one. @param at when, by the monotonic clock */
  notePlaceFreed(at: number): void;
  /** A run has let go of its slot. */
  noteSlotFreed(): void;
  /** This run's prompt has left the server normally. */
  notePromptGone(run: Run): void;
  /**
   * A prompt ended normally.
   * @param endedWell `false`: with an error of its own, which says neither that the server works nor that it is broken
   */
  noteJobEnded(endedWell: boolean): void;
  /** A job failed through the server's fault. */
  noteJobLost(reason: string): void;
  /** The server was told to end this prompt and does not. */
  noteStuck(promptId: string): void;
  /** A request to the server failed: it is checked soon. */
  noteDoubt(error: unknown): void;
}
