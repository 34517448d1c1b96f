import { type NodeText, type Preview } from "../wire/binary-frames.ts";
import { type ComfyUIError } from "../wire/errors.ts";
import { EventBuffer } from "./event-buffer.ts";
import { NewestOnly } from "./newest-only.ts";
import { isEndAnnouncement, parseMessage, type PromptMessage } from "../wire/messages.ts";
import {
  initialProgress,
  markSubmitted,
  passTime,
  reduceProgress,
  weighNodes,
  type Progress,
  type ProgressState,
} from "./progress.ts";
import { type MeasuredNode } from "./node-weights.ts";
import { type PromptRelay } from "./prompt-relay.ts";
import { type PromptLookup, type SettledLookup } from "../wire/prompt-lookup.ts";
import { type WatchEvent } from "./watch-event.ts";
import { type Workflow } from "../graph/workflow.ts";

/** Unread events kept per prompt: two per node of the largest graph, with room to spare. */
const eventsMax = 4_096;
/** How often a large `progress_state` is parsed at most. */
const largeStateEveryMs = 50;

export interface PromptWatchOptions {
  promptId: string;
  clientId: string;
  workflow: Workflow;
  /** Where messages are counted that were not read. */
  counters: { unknownMessages: number; replacedMessages: number };
}

/**
 * The state of one watched prompt, and the events that its reader has not taken yet. It is created before the POST, so
 * that no message can arrive before it.
 */
export class PromptWatch {
  readonly promptId: string;
  readonly clientId: string;
  readonly #counters: PromptWatchOptions["counters"];
  readonly #buffer = new EventBuffer<WatchEvent>(eventsMax);
  readonly #largeStates = new NewestOnly<Buffer>({
    intervalMs: largeStateEveryMs,
    handOn: (data) => {
      this.#readLargeState(data);
    },
  });
  #progress: ProgressState;
  #settled: SettledLookup | undefined;
  /** When the running node last began or made a step, by the monotonic clock. */
  #steppedAt = performance.now();
  #unreachableSince: number | undefined;
  /** The POST is under way, so a server that does not know the prompt proves nothing yet. */
  isPosting = false;
  /** A reader takes the events. */
  hasReader = false;
  isLookingUp = false;
  /** Something happened during a lookup that its answer may not show. */
  needsAnotherLookup = false;
  /** When to ask queue and history next, by the monotonic clock. Every message about the prompt postpones it. */
  lookupDueAt = Number.POSITIVE_INFINITY;
  /** How long the server may be unreachable before the reader is told to give up. */
  unreachableMs = Number.POSITIVE_INFINITY;
  /** Gets all that the server sends about the prompt. */
  relay: PromptRelay | undefined;

  constructor({ promptId, clientId, workflow, counters }: PromptWatchOptions) {
    this.promptId = promptId;
    this.clientId = clientId;
    this.#counters = counters;
    this.#progress = initialProgress(workflow);
  }

  get progress(): Progress {
    return this.#progress.progress;
  }

  get isSettled(): boolean {
    return this.#settled !== undefined;
  }

  get isExecuting(): boolean {
    return !this.isSettled && this.progress.phase === "executing";
  }

  /** Sets the graph, for titles and weights, if the watch was made without one (by an adoption after a lookup). */
  describe(workflow: Workflow): void {
    if (this.#progress.nodes.size === 0) this.#progress = initialProgress(workflow);
  }

  /** Weighs the nodes by what earlier runs of such a graph measured. */
  weigh(measured: ReadonlyMap<string, MeasuredNode>): void {
    if (!this.isSettled) this.#advance(weighNodes(this.#progress, measured));
  }

  /** Lets the percentage move on while a node that was measured before is silent. To be called about once a second. */
  passTime(now: number): void {
    if (this.isExecuting) this.#advance(passTime(this.#progress, now - this.#steppedAt));
  }

  /**
   * A message proves that the server is reachable, so a lookup that failed long before it does not count as an outage.
   */
  receive(message: PromptMessage): void {
    this.#reachable();
    // What follows may be the end of the watch.
    if (endsPrompt(message)) this.#largeStates.flush();
    this.#buffer.push({ type: "message", message }, coalesced.has(message.type) ? message.type : undefined);
    this.#advance(reduceProgress(this.#progress, message));
  }

  /**
   * Takes a large `progress_state` that names this prompt. Each one tells all that the ones before it told, so that only
   * the newest of an interval is parsed.
   */
  receiveLargeState(data: Buffer): void {
    this.#reachable();
    if (this.#largeStates.note(data)) this.#counters.replacedMessages += 1;
  }

  receivePreview(preview: Preview): void {
    this.#reachable();
    this.#buffer.push({ type: "preview", preview }, "preview");
  }

  receiveText(nodeText: NodeText): void {
    this.#reachable();
    this.#buffer.push({ type: "text", nodeText });
  }

  markSubmitted(): void {
    this.#advance(markSubmitted(this.#progress));
  }

  /** Applies the answer of a lookup; returns true if the prompt has ended. */
  apply(lookup: PromptLookup): boolean {
    if (this.isSettled) return true;
    this.#reachable();
    switch (lookup.state) {
      case "waiting":
        this.markSubmitted();
        return false;
      case "running":
        this.#advance(
          reduceProgress(this.#progress, {
            type: "execution_start",
            data: { prompt_id: this.promptId },
          }),
        );
        return false;
      case "finished":
      case "failed":
      case "interrupted":
      case "absent":
        this.#settled = lookup;
        this.#buffer.push({ type: "settled", lookup });
        this.#buffer.end();
        return true;
    }
  }

  /**
   * Notes a failed lookup. Ends the watch with the error, and returns true, once lookups have failed for
   * `unreachableMs`.
   */
  noteUnreachable(error: ComfyUIError): boolean {
    const now = performance.now();
    if (this.#unreachableSince === undefined) {
      this.#unreachableSince = now;
      this.#buffer.push({ type: "unreachable", error });
    }
    if (now - this.#unreachableSince < this.unreachableMs) return false;
    this.#buffer.end(error);
    return true;
  }

  /** To be called when nobody is interested in the prompt any more. */
  dispose(): void {
    this.#largeStates.clear();
  }

  fail(error: ComfyUIError): void {
    this.#buffer.end(error);
  }

  read(signal: AbortSignal | undefined): AsyncGenerator<WatchEvent, void, undefined> {
    return this.#buffer.read(signal);
  }

  #readLargeState(data: Buffer): void {
    const message = parseMessage(data.toString("utf8"));
    if (message?.type === "progress_state" && message.data.prompt_id === this.promptId) this.receive(message);
    else this.#counters.unknownMessages += 1;
  }

  #reachable(): void {
    if (this.#unreachableSince === undefined) return;
    this.#unreachableSince = undefined;
    this.#buffer.push({ type: "reachable" });
  }

  #advance(next: ProgressState): void {
    const before = this.#progress.progress;
    const changed = next.progress !== before;
    if (next.progress.node !== before.node || next.progress.step !== before.step)
      this.#steppedAt = performance.now();
    this.#progress = next;
    if (changed) this.#buffer.push({ type: "progress", progress: next.progress }, "progress event");
  }
}

const coalesced: ReadonlySet<string> = new Set(["progress", "progress_state"]);

function endsPrompt(message: PromptMessage): boolean {
  return isEndAnnouncement(message) || (message.type === "executing" && message.data.node === null);
}
