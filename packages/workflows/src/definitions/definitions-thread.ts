import { Worker } from "node:worker_threads";
import { unpackDefinitions, type ServerDefinitions } from "@genga/comfyui";
import { StoreUnavailableError, type ServerLease } from "@genga/jobs";
import { replySchema, type DefinitionsReply, type DefinitionsRequest } from "./definitions-messages.ts";

/** What a server can run, and the hash under which it is stored. */
export type HashedDefinitions = ServerDefinitions & { hash: string };

/** What a server answered to `GET /object_info` and, where it has the route, to `GET /node_replacements`. */
export interface DefinitionsAnswers {
  objectInfo: Uint8Array<ArrayBuffer>;
  replacements: Uint8Array<ArrayBuffer> | null;
}

/** Reads node definitions and keeps them; megabytes of JSON, none of which the caller's event loop parses. */
export interface DefinitionsStore {
  /**
   * Parses what a server answered, and stores it under the server's lease.
   * @returns null when the lease is not ours any more @throws StoreUnavailableError @throws Error the answer makes no sense
   */
  keep(
    lease: ServerLease,
    answers: DefinitionsAnswers,
    options: { storedHash: string | null; signal: AbortSignal },
  ): Promise<HashedDefinitions | null>;
  /** What is stored under a hash. @throws StoreUnavailableError */
  find(hash: string): Promise<HashedDefinitions | null>;
}

/** Sets of definitions that are remembered; the one that was used longest ago goes first. */
const rememberedMax = 16;

interface Waiting {
  resolve: (reply: DefinitionsReply) => void;
  reject: (error: Error) => void;
}

/**
 * Has a thread parse, validate and store definitions. What comes back are hashes, and of definitions that are new to this
 * process the texts of their classes in bytes that are moved (`packed-definitions.ts`). The thread is started when it is
 * first needed, and again after it died.
 */
export class DefinitionsThread implements DefinitionsStore {
  readonly #options: { entry: URL; databaseUrl: string };
  readonly #remembered = new Map<string, HashedDefinitions>();
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #requests = 0;
  #isClosed = false;

  /** @param options.entry the module that the thread runs; it calls `serveDefinitions` */
  constructor(options: { entry: URL; databaseUrl: string }) {
    this.#options = options;
  }

  async keep(
    lease: ServerLease,
    answers: DefinitionsAnswers,
    { storedHash, signal }: { storedHash: string | null; signal: AbortSignal },
  ): Promise<HashedDefinitions | null> {
    const { objectInfo, replacements } = answers;
    const known = [...this.#remembered.keys()];
    const moved = [objectInfo.buffer, ...(replacements === null ? [] : [replacements.buffer])];
    const request = { kind: "keep", lease, objectInfo, replacements, known, storedHash } as const;
    return this.#read(await this.#ask(request, { moved, signal }));
  }

  async find(hash: string): Promise<HashedDefinitions | null> {
    return this.#recall(hash) ?? this.#read(await this.#ask({ kind: "find", hash }));
  }

  /** Ends the thread. What is still asked for fails. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#fail(new Error("The thread that reads definitions was closed."));
    await this.#thread?.terminate();
  }

  #read(reply: DefinitionsReply): HashedDefinitions | null {
    if (reply.kind === "unavailable") {
      const { message, fault, wasRefused } = reply;
      throw new StoreUnavailableError(new Error(message), { fault, wasRefused });
    }
    if (reply.kind === "failed") throw new Error(reply.message);
    if (reply.kind === "none") return null;
    const { hash, packed } = reply;
    const known = this.#recall(hash);
    if (known !== null) return known;
    if (packed === null) throw new Error(`The definitions ${hash} were forgotten while they were read.`);
    const definitions = { hash, ...unpackDefinitions(packed) };
    const oldest = this.#remembered.keys().next().value;
    if (this.#remembered.size >= rememberedMax && oldest !== undefined) this.#remembered.delete(oldest);
    this.#remembered.set(hash, definitions);
    return definitions;
  }

  #recall(hash: string): HashedDefinitions | null {
    const known = this.#remembered.get(hash);
    if (known === undefined) return null;
    this.#remembered.delete(hash);
    this.#remembered.set(hash, known);
    return known;
  }

  async #ask(
    request: DefinitionsRequest,
    { moved = [], signal }: { moved?: ArrayBuffer[]; signal?: AbortSignal } = {},
  ): Promise<DefinitionsReply> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new Error("The thread that reads definitions was closed.");
    const id = (this.#requests += 1);
    const thread = (this.#thread ??= this.#start());
    let abort: (() => void) | undefined;
    try {
      return await new Promise<DefinitionsReply>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        abort = () => {
          reject(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
        };
        signal?.addEventListener("abort", abort, { once: true });
        thread.postMessage({ id, request }, moved);
      });
    } finally {
      this.#waiting.delete(id);
      if (abort !== undefined) signal?.removeEventListener("abort", abort);
    }
  }

  #start(): Worker {
    const { entry, databaseUrl } = this.#options;
    const thread = new Worker(new URL("../thread-entry.mjs", import.meta.url), {
      execArgv: [],
      workerData: { entry: entry.href, databaseUrl },
    });
    const died = (error: Error): void => {
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      this.#fail(error);
    };
    thread.on("message", (message: unknown) => {
      const { id, reply } = replySchema.parse(message);
      this.#waiting.get(id)?.resolve(reply);
    });
    thread.on("error", (cause: unknown) => {
      const message = cause instanceof Error ? cause.message : String(cause);
      died(new Error(`The thread that reads definitions broke: ${message}`, { cause }));
    });
    thread.on("exit", (code) => {
      died(new Error(`The thread that reads definitions ended with ${code}.`));
    });
    // It serves the process and does not keep it alive.
    thread.unref();
    return thread;
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}
