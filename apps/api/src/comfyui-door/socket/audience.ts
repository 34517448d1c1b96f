import { type DoorPrompt } from "@genga/jobs";
import { type ClientSocket } from "./client-socket.ts";
import { type LivePrompt } from "./live-prompt.ts";
import { type Outgoing } from "./outgoing.ts";
import { QueueCounts } from "./queue-counts.ts";

/**
 * Some clients that wait for a prompt take a socket for broken that was silent for ten seconds (@saintno/comfyui-sdk does), and give up
 * all of their prompts.
 */
const quietMs = 7_000;

/** The clients of one tenant that are served in this process: of each client id the newest socket. */
export class Audience {
  readonly #served = new Map<string, ClientSocket>();
  readonly #counts: QueueCounts;

  /** @param count how many prompts of a key wait or run */
  constructor(count: (keyName: string) => Promise<number>) {
    this.#counts = new QueueCounts(count);
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
    if (!this.#keyNames().has(socket.keyName)) this.#counts.forget(socket.keyName);
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
  async count(keyNames: ReadonlySet<string> = this.#keyNames()): Promise<number | null> {
    return await this.#counts.renew(keyNames);
  }

  /** What the greeting says; `count` comes before it. */
  statusOf(keyName: string): { exec_info: { queue_remaining: number } } {
    return { exec_info: { queue_remaining: this.#counts.of(keyName) } };
  }

  /** Tells the clients of a key, or of all keys, how many of their prompts wait and run. */
  tellStatus(keyNames: Iterable<string> = this.#keyNames()): void {
    for (const keyName of keyNames) {
      const json = JSON.stringify({ type: "status", data: { status: this.statusOf(keyName) } });
      for (const socket of this.#served.values()) if (socket.keyName === keyName) socket.text("status", json);
    }
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

  /** Sends what is said of a prompt to its client. */
  send({ prompt, currentNode }: LivePrompt, items: readonly Outgoing[]): void {
    const sockets = this.#socketsOf(prompt);
    const { promptId } = prompt;
    for (const item of items) {
      if (item.kind === "pictures" || (prompt.clientId === null && !isForAll(item))) continue;
      for (const socket of sockets) {
        if (item.kind === "frame") {
          const { frame, serverPromptId } = item;
          const isForAll = prompt.clientId === null;
          socket.frame(frame, { serverPromptId, promptId, node: currentNode, isForAll });
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

  #keyNames(): Set<string> {
    return new Set([...this.#served.values()].map(({ keyName }) => keyName));
  }
}

/** What a server tells of a prompt without a client id. */
const typesForAll: ReadonlySet<string> = new Set(["progress", "progress_state", "execution_interrupted"]);

function isForAll(item: Outgoing): boolean {
  return item.kind === "frame" || (item.kind === "text" && typesForAll.has(item.type));
}
