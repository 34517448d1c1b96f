import { setMaxListeners } from "node:events";

import { parseBinaryFrame, type BinaryFrame } from "../wire/binary-frames.ts";
import { ComfyUIError } from "../wire/errors.ts";
import { toComfyUIError } from "../wire/foreign-errors.ts";
import { promptOfLargeState } from "../wire/large-states.ts";
import { isEndAnnouncement, parseMessage, type PromptMessage, type ServerMessage } from "../wire/messages.ts";
import { isSettled, type PromptLookup } from "../wire/prompt-lookup.ts";
import { nothingCounted } from "./connector-counters.ts";
import { PromptWatch } from "./prompt-watch.ts";
import { ServerSocket, type ServerSocketOptions } from "../wire/server-socket.ts";
import { type WatchEvent } from "./watch-event.ts";
import { type Workflow } from "../graph/workflow.ts";

export interface PromptWatchesOptions {
  /** The client id whose socket stays open while nothing is watched. */
  clientId: string;
  socketUrl(clientId: string): string;
  socket: Omit<ServerSocketOptions, "url" | "onText" | "onBinary" | "onOpen" | "onClose">;
  /** After this long without a message, ask queue and history. */
  silenceMs: number;
  lookup(promptId: string, signal: AbortSignal): Promise<PromptLookup>;
  /**
   * Asks only the history, which has the entry as soon as the server has sent `executing {node: null}` (PROTOCOL 0.1).
   */
  lookupEnded(promptId: string, signal: AbortSignal): Promise<PromptLookup | undefined>;
  onDisconnect(): void;
}

/** The socket of one client id, and the last facts that its messages gave. */
interface Channel {
  socket: ServerSocket;
  /** The prompt that runs for this client, according to the messages. */
  currentPromptId: string | undefined;
  /** The server promised previews with metadata, so a preview without metadata belongs to another client's prompt. */
  hasPreviewMetadata: boolean;
  /**
   * How long a silence must last before the socket is opened anew; it doubles after each reopening that ends no
   * silence.
   */
  reopenAfterMs: number;
}

/**
 * The server announced the end of a prompt, and its last message must still come. Ask queue and history if it does not
 * come in this time.
 */
const lastMessageMs = 1_000;
/** How often to ask queue and history while no socket is open. */
const lookupWithoutSocketMs = 2_000;
const lookupRetryMs = 250;
const reopenAfterFactorMax = 6;
const unreadSettledMax = 256;

/**
 * All watched prompts of one server. The socket only gives hints: its messages advance the progress and say when to
 * ask. Only the answers of queue and history decide whether a prompt has ended. A lookup (queue first, then history)
 * follows a silence, a new connection, and the announced end of a prompt, so a watch never waits for ever for a message
 * that was lost.
 */
export class PromptWatches {
  readonly counters = nothingCounted();
  readonly #options: PromptWatchesOptions;
  readonly #watches = new Map<string, PromptWatch>();
  readonly #channels = new Map<string, Channel>();
  readonly #closing = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #ticking: NodeJS.Timeout | undefined;

  constructor(options: PromptWatchesOptions) {
    this.#options = options;
    // Each lookup under way adds one listener, and removes it at its end. There are as many as watched prompts, more
    // than Node's warning limit.
    setMaxListeners(0, this.#closed.signal);
  }

  get isConnected(): boolean {
    return this.isHearing(this.#options.clientId);
  }

  isHearing(clientId: string): boolean {
    return this.#channels.get(clientId)?.socket.isReady ?? false;
  }

  get(promptId: string): PromptWatch | undefined {
    return this.#watches.get(promptId);
  }

  /** Waits for the socket of a client id, opening it where there is none. */
  async connect(clientId: string, signal: AbortSignal): Promise<void> {
    await this.#channel(clientId).socket.ready(signal);
  }

  /** Returns the watch of a prompt. Creates the watch, and opens its socket, if there is none. */
  open(promptId: string, clientId: string, workflow: Workflow): PromptWatch {
    const existing = this.#watches.get(promptId);
    if (existing !== undefined) {
      existing.describe(workflow);
      return existing;
    }
    const watch = new PromptWatch({ promptId, clientId, workflow, counters: this.counters });
    this.#watches.set(promptId, watch);
    this.#channel(clientId);
    this.#ticking ??= setInterval(
      () => {
        this.tick();
      },
      Math.min(1_000, Math.max(10, this.#options.silenceMs / 5)),
    );
    return watch;
  }

  async *read(
    watch: PromptWatch,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<WatchEvent, void, undefined> {
    watch.hasReader = true;
    try {
      yield* watch.read(signal);
    } finally {
      this.forget(watch);
    }
  }

  /** Tells the watch that the prompt is queued: from now on a silence leads to a lookup. */
  expectMessages(watch: PromptWatch): void {
    watch.lookupDueAt = Math.min(watch.lookupDueAt, performance.now() + this.#options.silenceMs);
  }

  /** Removes a watch. The socket of another client id is closed with its last watch. */
  forget(watch: PromptWatch): void {
    watch.dispose();
    if (this.#watches.get(watch.promptId) === watch) this.#watches.delete(watch.promptId);
    if (this.#watches.size === 0) {
      clearInterval(this.#ticking);
      this.#ticking = undefined;
    }
    this.#closeUnused(watch.clientId);
  }

  /** Ends a watch with a lookup that its owner made, for example after a cancellation. */
  settle(promptId: string, lookup: PromptLookup): void {
    if (isSettled(lookup)) this.#watches.get(promptId)?.apply(lookup);
  }

  /** One round: makes the lookups that are due, and drops ended watches that nobody reads. */
  tick(): void {
    const now = performance.now();
    let unreadSettled = 0;
    for (const watch of [...this.#watches.values()].reverse()) {
      if (!watch.isSettled && watch.lookupDueAt <= now) void this.lookUp(watch);
      watch.passTime(now);
      if (!watch.isSettled || watch.hasReader) continue;
      unreadSettled += 1;
      if (unreadSettled > unreadSettledMax) this.forget(watch);
    }
  }

  /** Asks queue and history where the prompt stands. Never rejects: a failed lookup is repeated. */
  async lookUp(watch: PromptWatch): Promise<void> {
    if (watch.isSettled || watch.isPosting || this.#closed.signal.aborted) return;
    watch.needsAnotherLookup = watch.isLookingUp;
    if (watch.isLookingUp) return;
    watch.isLookingUp = true;
    this.counters.lookups += 1;
    try {
      const lookup = await this.#options.lookup(watch.promptId, this.#closed.signal);
      if (!watch.apply(lookup)) this.#afterLookup(watch, lookup);
    } catch (error) {
      this.#lookupFailed(watch, error);
    } finally {
      watch.isLookingUp = false;
    }
    if (watch.needsAnotherLookup) await this.lookUp(watch);
  }

  async close(): Promise<void> {
    const error = new ComfyUIError("connector_closed", "The connector was closed.");
    this.#closed.abort(error);
    clearInterval(this.#ticking);
    for (const watch of this.#watches.values()) {
      watch.fail(error);
      watch.dispose();
    }
    this.#watches.clear();
    for (const { socket } of this.#channels.values()) this.#closing.add(socket.close());
    this.#channels.clear();
    await Promise.all(this.#closing);
  }

  #afterLookup(watch: PromptWatch, lookup: PromptLookup): void {
    const channel = this.#channels.get(watch.clientId);
    watch.lookupDueAt = performance.now() + this.#lookupEveryMs(channel);
    if (channel === undefined || lookup.state !== "running") return;
    if (!channel.socket.isReady || channel.socket.silentMs < channel.reopenAfterMs) return;
    // The prompt runs, and not even a broadcast came: the server may have unregistered this socket (PROTOCOL 0.4). But
    // the server may also be loading a checkpoint, during which it sends nothing, so each reopening that ends no
    // silence doubles the wait.
    channel.reopenAfterMs = Math.min(
      channel.reopenAfterMs * 2,
      this.#options.silenceMs * reopenAfterFactorMax,
    );
    this.counters.reopened += 1;
    channel.socket.reopen();
  }

  #lookupFailed(watch: PromptWatch, error: unknown): void {
    if (this.#closed.signal.aborted) return;
    watch.lookupDueAt = performance.now() + this.#lookupEveryMs(this.#channels.get(watch.clientId));
    if (watch.noteUnreachable(toComfyUIError(error, `prompt ${watch.promptId}`))) this.forget(watch);
  }

  #lookupEveryMs(channel: Channel | undefined): number {
    return channel?.socket.isReady === true
      ? this.#options.silenceMs
      : Math.min(this.#options.silenceMs, lookupWithoutSocketMs);
  }

  /** The server announced the end of the prompt, so the history has the entry. */
  async #conclude(watch: PromptWatch): Promise<void> {
    try {
      const lookup = await this.#options.lookupEnded(watch.promptId, this.#closed.signal);
      if (lookup !== undefined && watch.apply(lookup)) return;
      watch.lookupDueAt = performance.now() + lookupRetryMs;
      await this.lookUp(watch);
    } catch (error) {
      this.#lookupFailed(watch, error);
    }
  }

  #channel(clientId: string): Channel {
    const existing = this.#channels.get(clientId);
    if (existing !== undefined) return existing;
    this.#closed.signal.throwIfAborted();
    const channel: Channel = {
      socket: new ServerSocket({
        ...this.#options.socket,
        url: this.#options.socketUrl(clientId),
        onText: (data) => {
          this.#receiveText(clientId, channel, data);
        },
        onBinary: (frame) => {
          this.#receiveBinary(channel, frame);
        },
        onOpen: () => {
          this.#opened(clientId, channel);
        },
        onClose: () => {
          this.#lost(clientId, channel);
        },
      }),
      currentPromptId: undefined,
      hasPreviewMetadata: false,
      reopenAfterMs: this.#options.silenceMs,
    };
    this.#channels.set(clientId, channel);
    return channel;
  }

  /** The server kept no message from before this moment, so every watch of this socket makes a lookup. */
  #opened(clientId: string, channel: Channel): void {
    channel.currentPromptId = undefined;
    channel.hasPreviewMetadata = false;
    for (const watch of this.#watchesOf(clientId)) void this.lookUp(watch);
  }

  #lost(clientId: string, channel: Channel): void {
    // Closed by this connector, which needs it no more.
    if (this.#channels.get(clientId) !== channel) return;
    channel.currentPromptId = undefined;
    this.counters.disconnects += 1;
    this.#options.onDisconnect();
    for (const watch of this.#watchesOf(clientId)) {
      watch.lookupDueAt = Math.min(watch.lookupDueAt, performance.now() + this.#lookupEveryMs(channel));
    }
  }

  #closeUnused(clientId: string): void {
    if (clientId === this.#options.clientId || this.#watchesOf(clientId).length > 0) return;
    const channel = this.#channels.get(clientId);
    if (channel === undefined) return;
    this.#channels.delete(clientId);
    const closing = channel.socket.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #watchesOf(clientId: string): PromptWatch[] {
    return [...this.#watches.values()].filter((watch) => watch.clientId === clientId && !watch.isSettled);
  }

  #receiveText(clientId: string, channel: Channel, data: Buffer): void {
    this.counters.messages += 1;
    const promptId = promptOfLargeState(data);
    if (promptId !== undefined) {
      this.#receiveLargeState(channel, promptId, data);
      return;
    }
    const text = data.toString("utf8");
    const message = parseMessage(text);
    if (message === undefined) this.counters.unknownMessages += 1;
    else if (message.type === "feature_flags") {
      channel.hasPreviewMetadata = message.data["supports_preview_metadata"] === true;
    } else if (message.type !== "status") this.#receiveMessage(clientId, channel, message, text);
  }

  #receiveLargeState(channel: Channel, promptId: string, data: Buffer): void {
    const watch = this.#watches.get(promptId);
    if (watch === undefined) return;
    this.#noteSignOfLife(channel, watch);
    watch.relay?.text(data.toString("utf8"));
    watch.receiveLargeState(data);
  }

  #receiveMessage(clientId: string, channel: Channel, message: PromptMessage, text: string): void {
    const named = message.data.prompt_id;
    const watch = this.#watches.get(named ?? this.#promptOfGreeting(clientId, channel, message) ?? "");
    if (watch === undefined) return;
    // The greeting after a reconnect names no prompt, and does not prove that later messages will arrive.
    if (named === undefined) channel.currentPromptId = watch.promptId;
    else {
      this.#noteSignOfLife(channel, watch);
      watch.relay?.text(text);
    }
    const patienceMs = isEndAnnouncement(message) ? lastMessageMs : this.#options.silenceMs;
    watch.lookupDueAt = performance.now() + Math.min(patienceMs, this.#options.silenceMs);
    watch.receive(message);
    if (message.type === "executing" && message.data.node === null) {
      channel.currentPromptId = undefined;
      void this.#conclude(watch);
    }
  }

  /** A message named this prompt. */
  #noteSignOfLife(channel: Channel, watch: PromptWatch): void {
    channel.currentPromptId = watch.promptId;
    channel.reopenAfterMs = this.#options.silenceMs;
    watch.lookupDueAt = performance.now() + this.#options.silenceMs;
  }

  /**
   * Finds the prompt of the greeting after a reconnect, which names the running node but not its prompt. Only one
   * prompt runs at a time.
   */
  #promptOfGreeting(clientId: string, channel: Channel, message: ServerMessage): string | undefined {
    if (message.type !== "executing") return undefined;
    if (channel.currentPromptId !== undefined) return channel.currentPromptId;
    const watches = this.#watchesOf(clientId);
    const executing = watches.filter((watch) => watch.isExecuting);
    const candidates = executing.length > 0 ? executing : watches;
    return candidates.length === 1 ? candidates[0]?.promptId : undefined;
  }

  #receiveBinary(channel: Channel, data: Buffer): void {
    this.counters.messages += 1;
    const frame = parseBinaryFrame(data);
    if (frame === undefined) {
      this.counters.unknownMessages += 1;
      return;
    }
    const watch = this.#watches.get(promptOfFrame(frame, channel) ?? "");
    if (watch === undefined) return;
    watch.lookupDueAt = performance.now() + this.#options.silenceMs;
    watch.relay?.frame(data);
    if (frame.type === "preview") watch.receivePreview(frame.preview);
    else watch.receiveText(frame.nodeText);
  }
}

function promptOfFrame(frame: BinaryFrame, channel: Channel): string | undefined {
  if (frame.type === "preview" && frame.preview.promptId !== undefined) return frame.preview.promptId;
  if (frame.type === "preview" && channel.hasPreviewMetadata) return undefined;
  return channel.currentPromptId;
}
