import { Readable } from "node:stream";

import { Agent, FormData, request, type Dispatcher } from "undici";

import { withDeadline } from "./deadline.ts";
import { ComfyUIError } from "./errors.ts";
import { stringifyExactJson } from "../json/exact-json.ts";
import { errorOfStatus, toComfyUIError } from "./foreign-errors.ts";
import { parseJson } from "./parse-json.ts";
import { accessHeaders, lookupOf, type ServerAccess } from "./server-access.ts";
import { StreamedForm } from "./streamed-form.ts";

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** For the whole call, connecting and reading included; for a download, the longest time without a byte. */
  timeoutMs?: number | undefined;
}

export type Method = "GET" | "POST";

export interface Reply {
  status: number;
  text: string;
}

export interface Download {
  /** Ends with an error if the connection breaks; destroy the stream to stop early. */
  body: Readable;
  contentLength: number | undefined;
  contentType: string | undefined;
}

export interface HttpClientOptions extends ServerAccess {
  baseUrl: string;
  requestTimeoutMs: number;
  replyBytesMax: number;
}

const connectionsMax = 32;
/**
 * Shorter than the server's own keep-alive (75 s), so that a request rarely uses a connection that the server is
 * closing.
 */
const keepAliveMs = 4_000;
const connectTimeoutMs = 5_000;

/**
 * HTTP to one server: keep-alive, one deadline per call, bounded replies, never a retry, no `Origin` header (PROTOCOL 1),
 * and no redirect is followed, so that credentials never reach another server. Every failure is a ComfyUIError; only the caller's own abort reason is thrown as it is.
 */
export class HttpClient {
  readonly #agent: Agent;
  readonly #options: HttpClientOptions;
  readonly #origin: string;
  readonly #pathPrefix: string;
  readonly #headers: () => Record<string, string>;

  constructor(options: HttpClientOptions) {
    const url = new URL(options.baseUrl);
    if (!/^https?:$/.test(url.protocol)) throw new TypeError(`${url.origin} is no http(s) address.`);
    this.#options = options;
    this.#origin = url.origin;
    this.#pathPrefix = url.pathname.replace(/\/+$/, "");
    this.#headers = () => accessHeaders(url, options);
    const lookup = lookupOf(options);
    this.#agent = new Agent({
      connections: connectionsMax,
      keepAliveTimeout: keepAliveMs,
      connect: { timeout: connectTimeoutMs, ...(lookup !== undefined && { lookup }) },
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** Makes one exchange and returns it, whatever its status is. */
  async exchange(
    method: Method,
    path: string,
    options: CallOptions & { body?: unknown } = {},
  ): Promise<Reply> {
    const what = `${method} ${path}`;
    return inTime(
      what,
      options.timeoutMs ?? this.#options.requestTimeoutMs,
      options.signal,
      async (signal) => {
        const reply = await this.#request(method, path, options.body, signal);
        const body = await readBounded(reply.body, this.#options.replyBytesMax, what);
        return { status: reply.statusCode, text: body.toString("utf8") };
      },
    );
  }

  /**
   * Returns the bytes of a reply that must succeed, for callers that compare them before parsing. The buffer is not
   * shared with others.
   */
  async bytes(path: string, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const what = `GET ${path}`;
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs;
    return inTime(what, timeoutMs, options.signal, async (signal) => {
      const reply = await this.#request("GET", path, undefined, signal);
      const body = await readBounded(reply.body, this.#options.replyBytesMax, what);
      if (reply.statusCode < 200 || reply.statusCode > 299) {
        throw errorOfStatus(reply.statusCode, body.toString("utf8"), what);
      }
      return new Uint8Array(body);
    });
  }

  /** An exchange that must succeed. */
  async text(method: Method, path: string, options: CallOptions & { body?: unknown } = {}): Promise<string> {
    const { status, text } = await this.exchange(method, path, options);
    if (status < 200 || status > 299) throw errorOfStatus(status, text, `${method} ${path}`);
    return text;
  }

  /** A JSON exchange that must succeed; `undefined` for an empty reply. */
  async json(method: Method, path: string, options: CallOptions & { body?: unknown } = {}): Promise<unknown> {
    const text = await this.text(method, path, options);
    return text === "" ? undefined : parseJson(text, `${method} ${path}`);
  }

  /** A reply as a stream. The deadline applies until the headers arrive, and then to each pause without a byte. */
  async download(path: string, options: CallOptions = {}): Promise<Download> {
    // The query is left out, because it names the file, and people other than the file's owner see the errors of a
    // server.
    const what = `GET ${path.split("?", 1)[0] ?? path}`;
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs;
    options.signal?.throwIfAborted();
    const reply = await inTime(what, timeoutMs, options.signal, async (signal) => {
      const answered = await this.#request("GET", path, undefined, signal);
      if (answered.statusCode === 200) return answered;
      const answer = await readBounded(answered.body, this.#options.replyBytesMax, what);
      throw errorOfStatus(answered.statusCode, answer.toString("utf8"), what);
    });
    const { "content-length": length, "content-type": type } = reply.headers;
    // The reader receives the body's errors through the iteration. Without this listener, a download that is stopped
    // early would raise them a second time, unhandled.
    reply.body.on("error", () => undefined);
    const body = Readable.from(readWatched(reply.body, what, timeoutMs, options.signal), {
      objectMode: false,
    });
    // If the body is destroyed before the first read, the generator never starts, so its clean-up does not run.
    body.once("close", () => reply.body.destroy());
    return {
      body,
      contentLength: typeof length === "string" ? Number(length) : undefined,
      contentType: typeof type === "string" ? type : undefined,
    };
  }

  /** Ends every request that is still under way. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #request(
    method: Method,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const access = this.#headers();
    if (body instanceof StreamedForm) {
      return await request(this.#origin + this.#pathPrefix + path, {
        ...{ method, dispatcher: this.#agent, signal, body: body.body },
        headers: { ...access, ...body.headers },
      });
    }
    const isForm = body instanceof FormData;
    return await request(this.#origin + this.#pathPrefix + path, {
      method,
      dispatcher: this.#agent,
      signal,
      headers: {
        ...access,
        ...(body !== undefined && !isForm && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: isForm ? body : stringifyExactJson(body) }),
    });
  }
}

/** Runs one exchange under the caller's signal and a deadline. Every other failure is made a ComfyUIError. */
async function inTime<Result>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const late = (): Error => new ComfyUIError("request_timeout", `${what}: no answer within ${timeoutMs} ms.`);
  try {
    return await withDeadline({ timeoutMs, signal, late }, run);
  } catch (error) {
    signal?.throwIfAborted();
    throw toComfyUIError(error, what);
  }
}

async function readBounded(body: Readable, bytesMax: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      throw new ComfyUIError("bad_reply", `${what}: the answer is longer than ${bytesMax} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Yields the body's bytes. Errors of undici become `ComfyUIError`s, and a pause of the server longer than `silenceMs`
 * ends the stream.
 */
async function* readWatched(
  body: Readable,
  what: string,
  silenceMs: number,
  outer: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  let failure: unknown;
  const stop = (reason: unknown): void => {
    failure = reason;
    body.destroy(reason instanceof Error ? reason : new Error("aborted"));
  };
  const abort = (): void => {
    stop(outer?.reason);
  };
  const listen = (): NodeJS.Timeout =>
    setTimeout(() => {
      stop(new ComfyUIError("request_timeout", `${what}: no byte for ${silenceMs} ms.`));
    }, silenceMs);
  let silence = listen();
  outer?.addEventListener("abort", abort, { once: true });
  try {
    outer?.throwIfAborted();
    for await (const chunk of body as AsyncIterable<Buffer>) {
      // The timer stops while the reader works, because a slow reader is not a silence of the server.
      clearTimeout(silence);
      yield chunk;
      silence = listen();
    }
  } catch (error) {
    outer?.throwIfAborted();
    throw toComfyUIError(failure ?? error, what);
  } finally {
    clearTimeout(silence);
    outer?.removeEventListener("abort", abort);
    body.destroy();
  }
}
