import { Worker } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { unpackDefinitions, type ServerDefinitions } from "@genga/comfyui";
import { StoreUnavailableError, type ServerLease } from "@genga/jobs";
import { replySchema, type DefinitionsReply, type DefinitionsRequest } from "./definitions-messages.ts";

/** A server's definitions, and the hash under which they are stored. */
export type HashedDefinitions = ServerDefinitions & { hash: string };

/** A server's answers to `GET /object_info` and, if it has the route, to `GET /node_replacements`. */
export interface DefinitionsAnswers {
  /** The hash of the bytes. Answers of equal hashes are parsed once in this process. */
  textHash: string;
  objectInfo: Uint8Array<ArrayBuffer>;
  replacements: Uint8Array<ArrayBuffer> | null;
}

/**
 * Parses and stores node definitions. They are megabytes of JSON, and another thread parses them, so the caller's event
 * loop is not blocked.
 */
export interface DefinitionsStore {
  /**
   * Parses a server's answers, and stores the definitions under the server's lease.
   * @returns null if this process no longer holds the lease @throws StoreUnavailableError @throws Error the answers are
   * not node definitions
   */
  keep(
    lease: ServerLease,
    answers: DefinitionsAnswers,
    options: { storedHash: string | null; signal: AbortSignal },
  ): Promise<HashedDefinitions | null>;
  /** Returns the definitions that are stored under a hash. */
  find(hash: string): Promise<HashedDefinitions | null>;
}

/** At most this many sets of definitions are kept in memory. The least recently used set is dropped first. */
const rememberedMax = 16;
/** Of how many answers the hash of the definitions is remembered: one more for each list of input files. */
const textsRememberedMax = 1_024;

interface Waiting {
  resolve: (reply: DefinitionsReply) => void;
  reject: (error: Error) => void;
}

/**
 * Lets a thread parse, validate and store definitions. The thread answers with hashes. For definitions that are new to
 * this process it also sends the texts of their classes, in a buffer that is moved (`packed-definitions.ts`). The
 * thread starts with the first request unless it was warmed up, and starts again with the next request after it has died.
 */
export class DefinitionsThread implements DefinitionsStore {
  readonly #options: { entry: URL; databaseUrl: string };
  readonly #remembered = new LRUCache<string, HashedDefinitions>({ max: rememberedMax });
  /** The hash of the definitions, by the hash of the answers' text. */
  readonly #hashOfText = new LRUCache<string, string>({ max: textsRememberedMax });
  /** Answers that are being parsed and stored, by the hash of their text. */
  readonly #keeping = new Map<string, Promise<unknown>>();
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #requests = 0;
  #isClosed = false;

  /** @param options.entry the module that the thread runs; it calls `serveDefinitions` */
  constructor(options: { entry: URL; databaseUrl: string }) {
    this.#options = options;
  }

  /** Starts the thread before it is needed: its start takes about half a second. */
  warmUp(): void {
    if (!this.#isClosed) this.#thread ??= this.#start();
  }

  async keep(
    lease: ServerLease,
    answers: DefinitionsAnswers,
    options: { storedHash: string | null; signal: AbortSignal },
  ): Promise<HashedDefinitions | null> {
    const { textHash } = answers;
    // Many equal servers answer at the same time after a start: one answer is parsed, and the others wait for it.
    await this.#keeping.get(textHash);
    options.signal.throwIfAborted();
    if (this.#hashOfText.has(textHash)) return await this.#keepOne(lease, answers, options);
    const keeping = this.#keepOne(lease, answers, options);
    const settled = keeping.then(
      () => undefined,
      // The error is the caller's; those who wait then try by themselves.
      () => undefined,
    );
    this.#keeping.set(textHash, settled);
    try {
      return await keeping;
    } finally {
      if (this.#keeping.get(textHash) === settled) this.#keeping.delete(textHash);
    }
  }

  async #keepOne(
    lease: ServerLease,
    answers: DefinitionsAnswers,
    { storedHash, signal }: { storedHash: string | null; signal: AbortSignal },
  ): Promise<HashedDefinitions | null> {
    const { objectInfo, replacements, textHash } = answers;
    const parsed = this.#remembered.get(this.#hashOfText.get(textHash) ?? "");
    if (parsed !== undefined) {
      const named = await this.#name(lease, parsed.hash, { storedHash, signal });
      if (named !== "not-stored") return named === "named" ? parsed : null;
    }
    const known = [...this.#remembered.keys()];
    const moved = [objectInfo.buffer, ...(replacements === null ? [] : [replacements.buffer])];
    const request = { kind: "keep", lease, objectInfo, replacements, known, storedHash } as const;
    const definitions = this.#read(await this.#ask(request, { moved, signal }));
    if (definitions !== null) this.#hashOfText.set(textHash, definitions.hash);
    return definitions;
  }

  /** Names definitions that this process knows in the row of a server. */
  async #name(
    lease: ServerLease,
    hash: string,
    { storedHash, signal }: { storedHash: string | null; signal: AbortSignal },
  ): Promise<"named" | "not-stored" | "not-held"> {
    if (hash === storedHash) return "named";
    const reply = await this.#ask({ kind: "name", lease, hash }, { signal });
    if (reply.kind === "named" || reply.kind === "not-stored") return reply.kind;
    this.#read(reply);
    return "not-held";
  }

  async find(hash: string): Promise<HashedDefinitions | null> {
    return this.#remembered.get(hash) ?? this.#read(await this.#ask({ kind: "find", hash }));
  }

  /** Ends the thread. Open requests fail. */
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
    if (reply.kind !== "definitions") return null;
    const { hash, packed } = reply;
    const known = this.#remembered.get(hash);
    if (known !== undefined) return known;
    if (packed === null) throw new Error(`The definitions ${hash} were forgotten while they were read.`);
    const definitions = { hash, ...unpackDefinitions(packed) };
    this.#remembered.set(hash, definitions);
    return definitions;
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
    // The thread must not keep the process alive.
    thread.unref();
    return thread;
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}
