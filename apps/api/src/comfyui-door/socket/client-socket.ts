import { randomUUID } from "node:crypto";
import { type Duplex } from "node:stream";
import {
  isObject,
  parsePythonJson,
  previewFrame,
  previewParts,
  previewWithMetadataFrame,
} from "@genga/comfyui";
import { type RawData, type WebSocket } from "ws";
import { withAlias } from "./live-prompt.ts";
import { type SocketMemory } from "./socket-memory.ts";

/** Of a client that reads too slowly, progress and previews are left out when so many bytes wait … */
const droppingBytes = 4 * 1024 * 1024;
/** … and it is cut off when so many do. It comes back, and is told of the ends that it has missed. */
const waitingBytesMax = 64 * 1024 * 1024;
/** Keeps proxies from closing a quiet connection. */
const pingEveryMs = 30_000;
/** Pings without an answer at one time: `ws`, with which clients in Node connect, cuts a connection that has 60 to answer at once. */
const unansweredMax = 16;
/** Clients that do other work between two reads answer late. */
const silentMsMax = 600_000;
/** The connection broke without a close frame. */
const brokenCode = 1006;
const droppableTypes: ReadonlySet<string> = new Set(["progress", "progress_state"]);

export interface ClientSocketOptions {
  /** The connection of the socket. */
  connection: Pick<Duplex, "cork" | "uncork">;
  clientId: string;
  /** The name of the key that the client came with. */
  keyName: string;
  /** What the server says of its features, as JSON text. */
  features: string;
  /** What waits for all clients together. */
  memory: SocketMemory;
  onClose: () => void;
}

/** A message of which is not known yet whether the client has it: the numbers of the pings around it. */
interface Delivery {
  /** `null` = the client was not asked just before. */
  before: number | null;
  after: number;
  onKnown: (isDelivered: boolean) => void;
}

/** The connection of one client. */
export class ClientSocket {
  /** Tells it from other sockets with the same client id. */
  readonly id = randomUUID();
  /** In milliseconds since 1970, to compare it with sockets in other processes. */
  readonly openedAt = Date.now();
  readonly clientId: string;
  readonly keyName: string;
  readonly #socket: WebSocket;
  readonly #connection: Pick<Duplex, "cork" | "uncork">;
  #isCorked = false;
  /** Bytes that the client had not taken when this turn of the event loop began to send. */
  #waitingBefore = 0;
  readonly #memory: SocketMemory;
  readonly #pings: NodeJS.Timeout;
  #heardAt = performance.now();
  #toldAt = performance.now();
  #pingNumber = 0;
  #pongNumber = 0;
  /** The next ping is sent as soon as the client has answered others. */
  #isPingOwed = false;
  readonly #deliveries = new Set<Delivery>();
  #wantsMetadata = false;
  #isGreeted = false;
  /** The answer to the client's flags, which comes after the greeting. */
  #answer: string | null = null;
  /** The prompt of whose node the client was told last: it takes previews without metadata for pictures of that node. */
  #shownPromptId: string | null = null;
  /** Without metadata, a preview follows the progress that it belongs to; with metadata it comes first (PROTOCOL 3). */
  #preview: Buffer | null = null;

  constructor(
    socket: WebSocket,
    { connection, clientId, keyName, features, memory, onClose }: ClientSocketOptions,
  ) {
    this.#socket = socket;
    this.#connection = connection;
    this.#memory = memory;
    memory.add(this);
    this.clientId = clientId;
    this.keyName = keyName;
    // A failing socket is also closed, and the close is handled.
    socket.on("error", () => undefined);
    socket.on("pong", (data: Buffer) => {
      this.#notePong(Number(data.toString("latin1")));
    });
    this.#readFlags(features);
    this.#pings = setInterval(() => {
      if (performance.now() - this.#heardAt > silentMsMax) socket.terminate();
      else this.#ping();
    }, pingEveryMs);
    const hear = (): void => {
      this.#heardAt = performance.now();
    };
    socket.on("pong", hear).on("message", hear);
    socket.on("close", (code: number) => {
      clearInterval(this.#pings);
      memory.remove(this);
      this.#noteClose(code);
      onClose();
    });
  }

  /** Whether a node of this prompt was named last, so that pictures without metadata are taken for its own. */
  shows(promptId: string): boolean {
    return this.#shownPromptId === promptId;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** When the client was sent the last message. */
  get toldAt(): number {
    return this.#toldAt;
  }

  /** Bytes that the client has not taken. */
  get waitingBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Whether progress and previews are left out for this client. */
  get #isBehind(): boolean {
    const { waitingBytes } = this;
    // What was sent in this turn waits for its end, and not for the client.
    const untaken = this.#isCorked ? this.#waitingBefore : waitingBytes;
    return waitingBytes >= droppingBytes || (untaken > 0 && this.#memory.isScarce);
  }

  /** The first message, and the node of the client's prompt that runs, if there is one. */
  greet(status: string, running: { promptId: string; node: string } | null): void {
    this.#isGreeted = true;
    this.text("status", status);
    if (running !== null) {
      const { promptId, node } = running;
      this.executing(promptId, node, JSON.stringify({ type: "executing", data: { node } }));
    }
    if (this.#answer !== null) this.text("feature_flags", this.#answer);
    this.#answer = null;
  }

  text(type: string, json: string): void {
    const preview = this.#preview;
    this.#preview = null;
    if (preview !== null && type !== "progress") this.#send(preview);
    if (!droppableTypes.has(type) || !this.#isBehind) this.#send(json);
    if (preview !== null && type === "progress") this.#send(preview);
  }

  /** `executing` of a prompt of this client. */
  executing(promptId: string, node: string | null, json: string): void {
    this.#shownPromptId = node === null ? null : promptId;
    this.text("executing", json);
  }

  /**
   * A binary message of a server about a prompt of this client.
   * @param about its names: the server's, and the client's; the node that runs; whether all clients are told, which a server does
   * without metadata
   */
  frame(
    frame: Uint8Array,
    about: { serverPromptId: string; promptId: string; node: string | null; isForAll: boolean },
  ): void {
    if (this.#isBehind) return;
    const buffer = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    const parts = previewParts(buffer);
    if (parts === undefined) this.#send(buffer);
    else if (this.#wantsMetadata && !about.isForAll) {
      const { serverPromptId, promptId, node } = about;
      const metadata =
        parts.metadata === undefined
          ? metadataOf(promptId, node ?? "", parts.format)
          : withAlias(parts.metadata, serverPromptId, promptId);
      this.#send(previewWithMetadataFrame(metadata, parts.image));
    } else if (about.isForAll || this.#shownPromptId === about.promptId) {
      if (this.#preview !== null) this.#send(this.#preview);
      this.#preview = previewFrame(parts.format, parts.image);
    }
  }

  /** A stored picture of a node, as the node sends it. @param about.isPlain never with metadata */
  picture(
    { promptId, node, isPlain }: { promptId: string; node: string; isPlain: boolean },
    format: "jpeg" | "png",
    image: Uint8Array,
  ): void {
    this.#send(
      this.#wantsMetadata && !isPlain
        ? previewWithMetadataFrame(metadataOf(promptId, node, format), image)
        : previewFrame(format, image),
    );
  }

  /**
   * Sends the last message about something. `onKnown` is called once: whether the client has received it. Of a connection that breaks
   * before the client has answered, that is not known, and so it counts as lost. A client that closes the connection itself is
   * not waiting any more; it may do so as soon as it has the message, so it is also asked just before.
   */
  deliver(send: () => void, onKnown: (isDelivered: boolean) => void): void {
    if (!this.isOpen) {
      onKnown(false);
      return;
    }
    const before = this.#mayPing ? this.#ping() : null;
    send();
    if (this.#mayPing) this.#ping();
    else this.#isPingOwed = true;
    this.#deliveries.add({ before, after: this.#pingNumber + (this.#isPingOwed ? 1 : 0), onKnown });
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Without a close frame, as a server that ends. */
  terminate(): void {
    this.#socket.terminate();
  }

  #send(content: string | Buffer): void {
    if (!this.isOpen) return;
    if (this.waitingBytes > waitingBytesMax) {
      this.#socket.terminate();
      return;
    }
    this.#writeTogether();
    this.#socket.send(content);
    this.#toldAt = performance.now();
    this.#memory.noteSent(content.length);
  }

  /** What is sent in one turn of the event loop is one write: a prompt of few steps has a dozen messages within some milliseconds. */
  #writeTogether(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#waitingBefore = this.waitingBytes;
    this.#connection.cork();
    setImmediate(() => {
      this.#isCorked = false;
      this.#connection.uncork();
    });
  }

  get #mayPing(): boolean {
    return this.#pingNumber - this.#pongNumber < unansweredMax;
  }

  #ping(): number {
    this.#pingNumber += 1;
    this.#isPingOwed = false;
    if (this.isOpen) {
      this.#writeTogether();
      this.#socket.ping(String(this.#pingNumber));
    }
    return this.#pingNumber;
  }

  #notePong(number: number): void {
    if (!(number > this.#pongNumber) || number > this.#pingNumber) return;
    this.#pongNumber = number;
    for (const delivery of this.#deliveries) {
      if (delivery.after > number) continue;
      this.#deliveries.delete(delivery);
      delivery.onKnown(true);
    }
    if (this.#isPingOwed && this.#mayPing) this.#ping();
  }

  #noteClose(code: number): void {
    const wasClosedByClient = code !== brokenCode;
    for (const { before, onKnown } of this.#deliveries)
      onKnown(wasClosedByClient || (before !== null && before <= this.#pongNumber));
    this.#deliveries.clear();
  }

  /** Only the first message that is a JSON object counts, and only if it carries feature flags (PROTOCOL 3). */
  #readFlags(features: string): void {
    const listen = (data: RawData, isBinary: boolean): void => {
      const message = isBinary ? undefined : parsed(data);
      if (!isObject(message)) return;
      this.#socket.off("message", listen);
      if (message["type"] !== "feature_flags") return;
      const flags = isObject(message["data"]) ? message["data"] : {};
      this.#wantsMetadata = Boolean(flags["supports_preview_metadata"]);
      const answer = `{"type":"feature_flags","data":${features}}`;
      if (this.#isGreeted) this.text("feature_flags", answer);
      else this.#answer = answer;
    };
    this.#socket.on("message", listen);
  }
}

function parsed(data: RawData): unknown {
  try {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
    return parsePythonJson(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

function metadataOf(promptId: string, node: string, format: "jpeg" | "png"): string {
  return JSON.stringify({
    ...{ node_id: node, prompt_id: promptId, display_node_id: node },
    ...{ parent_node_id: null, real_node_id: node, image_type: `image/${format}` },
  });
}
