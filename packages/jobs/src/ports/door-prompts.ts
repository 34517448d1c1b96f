import { type NewDoorPrompt } from "../job/door-prompt.ts";
import { type JobStatus } from "../job/job.ts";

export interface DoorPrompt extends NewDoorPrompt {
  jobId: string;
  tenantId: string;
  createdAt: Date;
  /** The client removed it from the history. */
  hidden: boolean;
  /** Of its job. */
  status: JobStatus;
  attempt: number;
  /** Its job is cancelled, or is to be. */
  cancelRequestedAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
}

/** A prompt with the graph of its job. */
export interface DoorPromptWithGraph extends DoorPrompt {
  /** JSON text. */
  workflow: string;
  /** extra_data without secrets, as JSON text; `null` = none. */
  extraData: string | null;
}

/** The end of a prompt as a server's history has it. */
export interface DoorEntry {
  attempt: number;
  /** `{outputs, status, meta}` as JSON text; `null` = no server told it, as of a prompt that was cancelled while it waited. */
  entry: string | null;
}

export interface EndedDoorPrompt extends DoorPromptWithGraph, DoorEntry {
  failure: { message: string; nodeId: string | null; nodeType: string | null } | null;
}

/** Who sends a prompt, and what the sender calls it. */
export type PromptSender = Pick<DoorPrompt, "promptId" | "clientId" | "keyName">;

/**
 * Prompts of the door for ComfyUI's clients. Everything is of one tenant: prompts of another one are answered as unknown.
 * Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface DoorPrompts {
  /**
   * `isEndTold`: the prompt has ended, and its client was told of that, or need not be. Of a prompt without a client id that is kept
   * nowhere, so it counts as not told.
   */
  findByJobs(tenantId: string, jobIds: readonly string[]): Promise<(DoorPrompt & { isEndTold: boolean })[]>;
  /**
   * The newest job that this client made with this key under the prompt id, if it is among the newest hundred of that id; `null` = there
   * is none. Several calls at the same time are one look.
   */
  findNewestOf(tenantId: string, sender: PromptSender): Promise<DoorPrompt | null>;
  /** The job that has a place; `null` = nobody has it. */
  findByPlace(tenantId: string, place: string): Promise<DoorPrompt | null>;
  /** The newest job of each of these prompt ids. */
  findByPromptIds(tenantId: string, promptIds: readonly string[]): Promise<DoorPrompt[]>;
  /**
   * Prompts of a client that have not ended, and those that ended within the last `endedWithinMs`; the oldest first, at
   * most the newest 1,000.
   */
  findByClientId(tenantId: string, clientId: string, endedWithinMs: number): Promise<DoorPrompt[]>;
  /** The prompts of a key that wait or run. */
  countActive(tenantId: string, keyName: string): Promise<number>;
  /**
   * The same prompts with their graphs, in pages, in the order in which they run: running ones first. All are as they were at one
   * moment, however long it takes to read them, so that a prompt that goes on meanwhile is in it once.
   * @param believedOpen prompt ids that count as running if they have ended a short time ago
   * @param options.withoutGraphs `workflow` is an empty graph
   */
  listActive(
    tenantId: string,
    keyName: string,
    believedOpen?: readonly string[],
    options?: { withoutGraphs?: boolean },
  ): AsyncIterable<DoorPromptWithGraph[]>;
  /**
   * The jobs of these prompts, or of all, that wait or run, of this key. `waits`: it does not run, also if it waits in the queue of a
   * server; those are the `waiting` ones. `begun` are those that run, and those that have begun and wait to run again: their clients know
   * that they run.
   */
  findActiveJobs(
    tenantId: string,
    keyName: string,
    which: { promptIds?: readonly string[]; state?: "waiting" | "begun" },
  ): Promise<{ jobId: string; waits: boolean }[]>;
  /** The end of the newest job of a prompt id; `null` = unknown, not ended, or hidden. */
  findEnded(tenantId: string, promptId: string): Promise<EndedDoorPrompt | null>;
  /**
   * Of these jobs those that have ended, the graph only of those without an entry. `isShown`: a server would have it in its history, if
   * the client had not removed it.
   */
  findEndedJobs(
    tenantId: string,
    jobIds: readonly string[],
  ): Promise<(EndedDoorPrompt & { isShown: boolean })[]>;
  /**
   * Ended prompts that are not hidden, each prompt id once, in pages, the oldest first: the newest `max` ones, or, with an
   * offset, those from the offset-th oldest on. With `withoutGraphs` those that have an entry have an empty graph.
   */
  listEnded(
    tenantId: string,
    page: { max: number; offset?: number | undefined; withoutGraphs?: boolean },
  ): AsyncIterable<EndedDoorPrompt[]>;
  /** Hides ended prompts from the history. No job is removed. */
  hide(tenantId: string, which: { promptIds: readonly string[] } | "all"): Promise<void>;
  readEntries(tenantId: string, jobIds: readonly string[]): Promise<Map<string, DoorEntry>>;
}
