import { type ComfyUIConnector, type ServerDefinitions } from "@genga/comfyui";
import { type Run } from "./run.ts";

/** What a run asks of its server, and what it tells it. The folder `servers` implements it. */
export interface JobServer {
  readonly id: string;
  /** Its identity, for people; not where it answers. */
  readonly url: string;
  readonly connector: ComfyUIConnector;
  /** What it can run; `null` until the server was asked. */
  readonly definitions: ServerDefinitions | null;
  /** An operator asked that it take no new work. */
  readonly isDraining: boolean;
  /** It answered the last check. */
  readonly isAnswering: boolean;
  /** Why it takes no work, in words for an operator; `null` while all is well. */
  readonly reason: string | null;

  /** The run begins, and holds a slot of this server. */
  addRun(run: Run): void;
  removeRun(run: Run): void;

  /** Checks the server now; afterwards `isAnswering` is up to date. @throws the signal's reason */
  checkNow(signal: AbortSignal): Promise<void>;
  /** Asks the server now what it can run; returns what was known if it does not answer. @throws the signal's reason */
  readDefinitionsAgain(signal: AbortSignal): Promise<ServerDefinitions>;

  /** This run's prompt is about to be posted. */
  notePost(run: Run): void;
  /** The server let go of this run's prompt, in good order. */
  notePromptGone(run: Run): void;
  /** A prompt ended as prompts end, well or with an error of its own. */
  noteJobEnded(): void;
  /** A job failed through the server's fault. */
  noteJobLost(reason: string): void;
  /** The server was told to end this prompt, and does not. */
  noteStuck(promptId: string): void;
  /** A request to the server failed: it is checked soon. */
  noteDoubt(error: unknown): void;
}
