import { type NodeText, type Preview } from "../wire/binary-frames.ts";
import { type ComfyUIError } from "../wire/errors.ts";
import { EventBuffer } from "./event-buffer.ts";
import { type PromptMessage } from "../wire/messages.ts";
import { markSubmitted, progressOf, reduceProgress, type Progress, type ProgressState } from "./progress.ts";
import { type PromptLookup, type SettledLookup } from "../wire/prompt-lookup.ts";
import { type WatchEvent } from "./watch-event.ts";
import { type Workflow } from "../graph/workflow.ts";

/** Unread events kept per prompt: two per node of the largest graph, with room to spare. */
const eventsMax = 4_096;

/**
 * What is known of one prompt while it is watched, and the events its reader has not taken yet. It exists from before
 * the POST, so that the first message finds it.
 */
export class PromptWatch {
  readonly promptId: string;
  readonly clientId: string;
  readonly #buffer = new EventBuffer<WatchEvent>(eventsMax);
  #progress: ProgressState;
  #settled: SettledLookup | undefined;
  #unreachableSince: number | undefined;
  /** The POST is under way: not being found on the server means nothing yet. */
  isPosting = false;
  /** Somebody reads the events. */
  hasReader = false;
  isLooking = false;
  /** Something happened during a look that it may not have seen. */
  wantsAnotherLook = false;
  /** When to look at queue and history, on the monotonic clock; every sign of life moves it on. */
  lookDueAt = Number.POSITIVE_INFINITY;
  /** How long the server may be unreachable before the reader is told to give up. */
  unreachableMs = Number.POSITIVE_INFINITY;

  constructor(promptId: string, clientId: string, workflow: Workflow) {
    this.promptId = promptId;
    this.clientId = clientId;
    this.#progress = progressOf(workflow);
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

  /** A graph that came later than the watch (adoption after a look) gives titles and weights. */
  describe(workflow: Workflow): void {
    if (this.#progress.nodes.size === 0) this.#progress = progressOf(workflow);
  }

  /** Its messages are a sign of life as well: a look that failed long before them is no outage. */
  receive(message: PromptMessage): void {
    this.#reachable();
    this.#buffer.push({ type: "message", message }, coalesced.has(message.type) ? message.type : undefined);
    this.#advance(reduceProgress(this.#progress, message));
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

  /** Takes the answer of a look; true if it was the end. */
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

  /** A look failed. Gives the watch up once that has lasted `unreachableMs`; true if so. */
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

  fail(error: ComfyUIError): void {
    this.#buffer.end(error);
  }

  read(signal: AbortSignal | undefined): AsyncGenerator<WatchEvent, void, undefined> {
    return this.#buffer.read(signal);
  }

  #reachable(): void {
    if (this.#unreachableSince === undefined) return;
    this.#unreachableSince = undefined;
    this.#buffer.push({ type: "reachable" });
  }

  #advance(next: ProgressState): void {
    const changed = next.progress !== this.#progress.progress;
    this.#progress = next;
    if (changed) this.#buffer.push({ type: "progress", progress: next.progress }, "progress event");
  }
}

const coalesced: ReadonlySet<string> = new Set(["progress", "progress_state"]);
