import { type DoorPrompt } from "@genga/jobs";
import { type ClientSocket } from "./client-socket.ts";
import { type LivePrompt } from "./live-prompt.ts";
import { type Outgoing } from "./outgoing.ts";
import { QueueCounts, type OpenPrompts } from "./queue-counts.ts";

/**
 * Some clients that wait for a prompt take a socket for broken that was silent for ten seconds (@saintno/comfyui-sdk does), and give up
 * all of their prompts.
 */
const quietMs = 7_000;
/** Of prompts that come faster than they are counted. */
const addedMax = 20;

/** The clients of one tenant that are served in this process: of each client id the newest socket. */
export class Audience {
  readonly #served = new Map<string, ClientSocket>();
  readonly #counts: QueueCounts;
  /** By key. */
  readonly #lastTold = new Map<string, number>();

  /** @param count the open prompts of a key, with the untold ends of these clients */
  constructor(count: (keyName: string, clientIds: readonly string[]) => Promise<OpenPrompts>) {
    this.#counts = new QueueCounts((keyName) => count(keyName, this.clientIds));
  }

  get clientIds(): string[] {
    return [...this.#served.keys()];
  }

  find(clientId: string): ClientSocket | undefined {
    return this.#served.get(clientId);
  }

  serve(socket: ClientSocket): void {
    this.#served.set(socket.clientId, socket);
  }

  leave(socket: ClientSocket): void {
    if (this.find(socket.clientId) === socket) this.#served.delete(socket.clientId);
    if (this.keyNames().has(socket.keyName)) return;
    this.#counts.forget(socket.keyName);
    this.#lastTold.delete(socket.keyName);
  }

  /** A socket of this client was opened, perhaps in another process, and perhaps before the one that is served here. */
  supersede(clientId: string, other: { socketId: string; openedAt: number }): void {
    const served = this.find(clientId);
    if (served !== undefined && served.id !== other.socketId && served.openedAt < other.openedAt)
      this.#served.delete(clientId);
  }

  /**
   * Counts the prompts of these keys; without any, of those of all clients.
   * @returns when to count and tell again (`QueueCounts.renew`)
   */
  async count(keyNames: ReadonlySet<string> = this.keyNames()): Promise<number | null> {
    return await this.#counts.renew(keyNames);
  }

  /** The client of this job's prompt is being told of the end, so that it counts no more. */
  noteTold(jobId: string): void {
    this.#counts.noteTold(jobId);
  }

  /** The client must be told of the end again, or of another one. */
  noteUntold(jobId: string): void {
    this.#counts.noteUntold(jobId);
  }

  /** What the greeting says; `count` comes before it. */
  statusOf(keyName: string): { exec_info: { queue_remaining: number } } {
    return { exec_info: { queue_remaining: this.#counts.of(keyName) } };
  }

  /** Tells the clients of a key, or of all keys, how many of their prompts wait and run. */
  tellStatus(keyNames: Iterable<string> = this.keyNames()): void {
    for (const keyName of keyNames) this.#tell(keyName, this.#counts.of(keyName));
  }

  /** Tells of each prompt that came, as a server does: of each key at most the last ones. */
  tellAdded(added: ReadonlyMap<string, number>): void {
    for (const [keyName, count] of added) {
      const open = this.#counts.of(keyName);
      for (let later = Math.min(count, addedMax, open) - 1; later > 0; later -= 1)
        this.#tell(keyName, open - later);
      this.#tell(keyName, open);
    }
  }

  /** Tells the clients of a key how many are left, unless they know. */
  tellChange(keyName: string): void {
    const open = this.#counts.of(keyName);
    if (this.#lastTold.get(keyName) !== open) this.#tell(keyName, open);
  }

  /** A prompt has ended whose client hears of another one: clients look at the queue and the history then. */
  tellEnded(keyName: string, jobId: string, isTurnNear: boolean): void {
    if (!this.#counts.isUntold(keyName, jobId)) this.tellChange(keyName);
    else if (!isTurnNear) this.tellStatus([keyName]);
  }

  #tell(keyName: string, open: number): void {
    this.#lastTold.set(keyName, open);
    const json = JSON.stringify({
      type: "status",
      data: { status: { exec_info: { queue_remaining: open } } },
    });
    for (const socket of this.#served.values()) if (socket.keyName === keyName) socket.text("status", json);
  }

  /** When the next client of a key with open prompts has heard nothing for a while. */
  get quietAt(): number {
    const waiting = [...this.#served.values()].filter(({ keyName }) => this.#counts.of(keyName) > 0);
    return Math.min(Number.POSITIVE_INFINITY, ...waiting.map(({ toldAt }) => toldAt + quietMs));
  }

  /** Tells those clients the same figure again. */
  tellQuiet(now: number): void {
    for (const socket of this.#served.values()) {
      const { keyName, toldAt } = socket;
      if (toldAt + quietMs > now || this.#counts.of(keyName) === 0) continue;
      socket.text("status", JSON.stringify({ type: "status", data: { status: this.statusOf(keyName) } }));
    }
  }

  /** Sends what is said of a prompt to its client. A begin is told to all clients of the key, by the queue's `status`. */
  send({ prompt }: LivePrompt, items: readonly Outgoing[]): void {
    const sockets = this.#socketsOf(prompt);
    const { promptId } = prompt;
    for (const item of items) {
      if (isStart(item)) this.tellStatus([prompt.keyName]);
      if (item.kind === "pictures" || (prompt.clientId === null && !isForAll(item))) continue;
      for (const socket of sockets) {
        if (item.kind === "frame") {
          const { frame, serverPromptId, node } = item;
          socket.frame(frame, { serverPromptId, promptId, node, isForAll: prompt.clientId === null });
        } else if (item.type === "executing") socket.executing(promptId, item.node ?? null, item.json);
        else socket.text(item.type, item.json);
      }
    }
  }

  /** Of a prompt without a client id all clients of the tenant are told, as far as a server tells all (PROTOCOL 0.7). */
  #socketsOf({ clientId }: DoorPrompt): ClientSocket[] {
    if (clientId === null) return [...this.#served.values()];
    const socket = this.find(clientId);
    return socket === undefined ? [] : [socket];
  }

  /** The keys of all clients. */
  keyNames(): Set<string> {
    return new Set([...this.#served.values()].map(({ keyName }) => keyName));
  }
}

/** The message that a prompt begins with. */
export function isStart(item: Outgoing): boolean {
  return item.kind === "text" && item.type === "execution_start";
}

/** What a server tells of a prompt without a client id. */
const typesForAll: ReadonlySet<string> = new Set(["progress", "progress_state", "execution_interrupted"]);

function isForAll(item: Outgoing): boolean {
  return item.kind === "frame" || (item.kind === "text" && typesForAll.has(item.type));
}
