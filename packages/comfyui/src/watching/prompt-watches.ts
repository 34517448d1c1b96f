import { setMaxListeners } from "node:events";

import { parseBinaryFrame, type BinaryFrame } from "../wire/binary-frames.ts";
import { ComfyUIError } from "../wire/errors.ts";
import { toComfyUIError } from "../wire/foreign-errors.ts";
import { parseMessage, type PromptMessage, type ServerMessage } from "../wire/messages.ts";
import { isSettled, type PromptLookup } from "../wire/prompt-lookup.ts";
import { PromptWatch } from "./prompt-watch.ts";
import { ServerSocket, type ServerSocketOptions } from "../wire/server-socket.ts";
import { type WatchEvent } from "./watch-event.ts";
import { type Workflow } from "../graph/workflow.ts";

export interface PromptWatchesOptions {
  /** The client id whose socket stays open while nothing is watched. */
  clientId: string;
  socketUrl(clientId: string): string;
  socket: Omit<ServerSocketOptions, "url" | "onText" | "onBinary" | "onOpen" | "onClose">;
  /** After this long without a message: look. */
  silenceMs: number;
  lookup(promptId: string, signal: AbortSignal): Promise<PromptLookup>;
  /** History alone: it holds the entry from `executing {node: null}` on (PROTOCOL 0.1). */
  lookupEnded(promptId: string, signal: AbortSignal): Promise<PromptLookup | undefined>;
  onDisconnect(): void;
}

export interface ConnectorCounters {
  /** WebSocket messages of every kind. */
  messages: number;
  /** Those not understood: other types, other layouts, broken JSON. Ignored, and counted here. */
  unknownMessages: number;
  /** Connections lost after they had been open. */
  disconnects: number;
  /** Looks at queue and history. */
  looks: number;
  /** Silent sockets that were closed and opened again while a prompt ran. */
  reopened: number;
}

/** The socket of one client id, and what it told last. */
interface Channel {
  socket: ServerSocket;
  /** The prompt that runs for this client, by the messages. */
  currentPromptId: string | undefined;
  /** The server promised previews with metadata, so one without is somebody else's broadcast. */
  hasPreviewMetadata: boolean;
  /** How long a silence must last before the socket is opened anew; doubles each time in vain. */
  reopenAfterMs: number;
}

/** The end was announced and its last message is still to come: look if it does not. */
const lastMessageMs = 1_000;
/** How often to look while there is no socket to hear from. */
const deafLookMs = 2_000;
const lookAgainMs = 250;
const reopenAfterFactorMax = 6;
const unreadSettledMax = 256;

/**
 * All prompts that are being watched on one server. The socket is a hint: messages move progress and say when to look,
 * and what queue and history say is what counts. Silence, a new connection, or the announced end of a prompt lead to a
 * look, so a watch never hangs on a message that does not come.
 */
export class PromptWatches {
  readonly counters: ConnectorCounters = {
    messages: 0,
    unknownMessages: 0,
    disconnects: 0,
    looks: 0,
    reopened: 0,
  };
  readonly #options: PromptWatchesOptions;
  readonly #watches = new Map<string, PromptWatch>();
  readonly #channels = new Map<string, Channel>();
  readonly #closing = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #ticking: NodeJS.Timeout | undefined;

  constructor(options: PromptWatchesOptions) {
    this.#options = options;
    // One listener for each look that is under way, as many as prompts are watched; each is taken off again.
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

  /** The watch of a prompt; made, and its socket opened, where there is none. */
  open(promptId: string, clientId: string, workflow: Workflow): PromptWatch {
    const existing = this.#watches.get(promptId);
    if (existing !== undefined) {
      existing.describe(workflow);
      return existing;
    }
    const watch = new PromptWatch(promptId, clientId, workflow);
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

  /** The prompt is queued: from now on a silence is worth a look. */
  expectMessages(watch: PromptWatch): void {
    watch.lookDueAt = Math.min(watch.lookDueAt, performance.now() + this.#options.silenceMs);
  }

  /** Ends a watch, and the socket of a foreign client id with its last watch. */
  forget(watch: PromptWatch): void {
    if (this.#watches.get(watch.promptId) === watch) this.#watches.delete(watch.promptId);
    if (this.#watches.size === 0) {
      clearInterval(this.#ticking);
      this.#ticking = undefined;
    }
    this.#closeUnused(watch.clientId);
  }

  /** Settles a watch with what its owner found out by itself, for example after a cancellation. */
  settle(promptId: string, lookup: PromptLookup): void {
    if (isSettled(lookup)) this.#watches.get(promptId)?.apply(lookup);
  }

  /** One round: looks that are due, silent sockets, and ends that nobody came to read. */
  tick(): void {
    const now = performance.now();
    let unreadSettled = 0;
    for (const watch of [...this.#watches.values()].reverse()) {
      if (!watch.isSettled && watch.lookDueAt <= now) void this.look(watch);
      if (!watch.isSettled || watch.hasReader) continue;
      unreadSettled += 1;
      if (unreadSettled > unreadSettledMax) this.forget(watch);
    }
  }

  /** Asks queue and history where the prompt stands. Never rejects: a failed look is repeated. */
  async look(watch: PromptWatch): Promise<void> {
    if (watch.isSettled || watch.isPosting || this.#closed.signal.aborted) return;
    watch.wantsAnotherLook = watch.isLooking;
    if (watch.isLooking) return;
    watch.isLooking = true;
    this.counters.looks += 1;
    try {
      const lookup = await this.#options.lookup(watch.promptId, this.#closed.signal);
      if (!watch.apply(lookup)) this.#afterLook(watch, lookup);
    } catch (error) {
      this.#lookFailed(watch, error);
    } finally {
      watch.isLooking = false;
    }
    if (watch.wantsAnotherLook) await this.look(watch);
  }

  async close(): Promise<void> {
    const error = new ComfyUIError("connector_closed", "The connector was closed.");
    this.#closed.abort(error);
    clearInterval(this.#ticking);
    for (const watch of this.#watches.values()) watch.fail(error);
    this.#watches.clear();
    for (const { socket } of this.#channels.values()) this.#closing.add(socket.close());
    this.#channels.clear();
    await Promise.all(this.#closing);
  }

  #afterLook(watch: PromptWatch, lookup: PromptLookup): void {
    const channel = this.#channels.get(watch.clientId);
    watch.lookDueAt = performance.now() + this.#lookEveryMs(channel);
    if (channel === undefined || lookup.state !== "running") return;
    if (!channel.socket.isReady || channel.socket.silentMs < channel.reopenAfterMs) return;
    // It runs, and not even a broadcast came: the server may have unregistered us (PROTOCOL 0.4). It may also just be
    // loading a checkpoint, which is silent as well; so each attempt in vain waits twice as long.
    channel.reopenAfterMs = Math.min(
      channel.reopenAfterMs * 2,
      this.#options.silenceMs * reopenAfterFactorMax,
    );
    this.counters.reopened += 1;
    channel.socket.reopen();
  }

  #lookFailed(watch: PromptWatch, error: unknown): void {
    if (this.#closed.signal.aborted) return;
    watch.lookDueAt = performance.now() + this.#lookEveryMs(this.#channels.get(watch.clientId));
    if (watch.noteUnreachable(toComfyUIError(error, `prompt ${watch.promptId}`))) this.forget(watch);
  }

  #lookEveryMs(channel: Channel | undefined): number {
    return channel?.socket.isReady === true
      ? this.#options.silenceMs
      : Math.min(this.#options.silenceMs, deafLookMs);
  }

  /** The end was announced: the history has it. */
  async #conclude(watch: PromptWatch): Promise<void> {
    try {
      const lookup = await this.#options.lookupEnded(watch.promptId, this.#closed.signal);
      if (lookup !== undefined && watch.apply(lookup)) return;
      watch.lookDueAt = performance.now() + lookAgainMs;
      await this.look(watch);
    } catch (error) {
      this.#lookFailed(watch, error);
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
        onText: (text) => {
          this.#receiveText(clientId, channel, text);
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

  /** Nothing that happened before this moment was kept for us: whoever waits on this socket looks. */
  #opened(clientId: string, channel: Channel): void {
    channel.currentPromptId = undefined;
    channel.hasPreviewMetadata = false;
    for (const watch of this.#watchesOf(clientId)) void this.look(watch);
  }

  #lost(clientId: string, channel: Channel): void {
    channel.currentPromptId = undefined;
    this.counters.disconnects += 1;
    this.#options.onDisconnect();
    for (const watch of this.#watchesOf(clientId)) {
      watch.lookDueAt = Math.min(watch.lookDueAt, performance.now() + this.#lookEveryMs(channel));
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

  #receiveText(clientId: string, channel: Channel, text: string): void {
    this.counters.messages += 1;
    const message = parseMessage(text);
    if (message === undefined) this.counters.unknownMessages += 1;
    else if (message.type === "feature_flags") {
      channel.hasPreviewMetadata = message.data["supports_preview_metadata"] === true;
    } else if (message.type !== "status") this.#receiveMessage(clientId, channel, message);
  }

  #receiveMessage(clientId: string, channel: Channel, message: PromptMessage): void {
    const promptId = message.data.prompt_id ?? this.#promptOfGreeting(clientId, channel, message);
    if (promptId === undefined) return;
    const watch = this.#watches.get(promptId);
    if (watch === undefined) return;
    channel.currentPromptId = promptId;
    // The greeting after a reconnect names no prompt, and proves nothing about the messages to come.
    if (message.data.prompt_id !== undefined) channel.reopenAfterMs = this.#options.silenceMs;
    const patienceMs = isEndAnnouncement(message) ? lastMessageMs : this.#options.silenceMs;
    watch.lookDueAt = performance.now() + Math.min(patienceMs, this.#options.silenceMs);
    watch.receive(message);
    if (message.type === "executing" && message.data.node === null) {
      channel.currentPromptId = undefined;
      void this.#conclude(watch);
    }
  }

  /** After a reconnect the server says which node runs, not of which prompt; only one prompt runs at a time. */
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
    watch.lookDueAt = performance.now() + this.#options.silenceMs;
    if (frame.type === "preview") watch.receivePreview(frame.preview);
    else watch.receiveText(frame.nodeText);
  }
}

function isEndAnnouncement({ type }: PromptMessage): boolean {
  return type === "execution_success" || type === "execution_error" || type === "execution_interrupted";
}

function promptOfFrame(frame: BinaryFrame, channel: Channel): string | undefined {
  if (frame.type === "preview" && frame.preview.promptId !== undefined) return frame.preview.promptId;
  if (frame.type === "preview" && channel.hasPreviewMetadata) return undefined;
  return channel.currentPromptId;
}
