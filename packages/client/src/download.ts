import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Output } from "./api-types.ts";
import { Deadline } from "./deadline.ts";
import { connectionError, GengaError, ownCodes } from "./genga-error.ts";
import { backoffMs, pause } from "./pauses.ts";
import { readChunk } from "./read-chunk.ts";
import { sendRequest, type Sending } from "./send-request.ts";

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes that have arrived so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /**
   * The beginning of the content, which an earlier download has brought; the body is what follows it. Fewer bytes than the content has. The
   * whole is compared with the announced SHA-256.
   */
  readonly have?: { readonly bytes: number; readonly content: AsyncIterable<Uint8Array> } | undefined;
}

export interface Download {
  readonly mediaType: string;
  /** `undefined` = the API does not say. */
  readonly bytes: number | undefined;
  readonly sha256: string | undefined;
  /**
   * The content. It fails with `content-mismatch` at its end if that is not the content that was announced, so use it
   * only when it has ended without an error.
   */
  readonly body: ReadableStream<Uint8Array>;
}

/** A connection that brings nothing for so long is replaced by another one. */
const stalledMs = 60_000;

/**
 * The content of an output, as a stream. After a cut it goes on where it was cut off.
 * @throws GengaError
 */
export async function download(
  output: string | Pick<Output, "id" | "sha256">,
  sending: Sending,
  { signal, onProgress, have }: DownloadOptions,
): Promise<Download> {
  const id = typeof output === "string" ? output : output.id;
  const known = typeof output === "string" ? undefined : output.sha256;
  const source = new ContentSource(id, sending, signal);
  const hash = sha256.create();
  for await (const chunk of have?.content ?? []) hash.update(chunk);
  const { headers, bytes } = await source.open(have?.bytes ?? 0);
  const announced = known ?? /^"([0-9a-f]{64})"$/.exec(headers.get("etag") ?? "")?.[1];
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const chunk = await source.next();
          if (chunk !== undefined) {
            hash.update(chunk);
            controller.enqueue(chunk);
            onProgress?.(source.position);
            return;
          }
          const received = bytesToHex(hash.digest());
          if (announced !== undefined && received !== announced) throw mismatch(announced, received);
          controller.close();
        } catch (error) {
          source.close();
          controller.error(error);
        }
      },
      cancel: () => {
        source.close();
      },
    },
    { highWaterMark: 0 },
  );
  return {
    mediaType: headers.get("content-type") ?? "application/octet-stream",
    ...{ bytes, sha256: announced, body },
  };
}

function mismatch(announced: string, received: string): GengaError {
  return new GengaError({
    ...{
      status: 200,
      code: ownCodes.contentMismatch,
      title: "The content is not the one that was announced",
    },
    detail: `The content has the SHA-256 ${received}; announced was ${announced}.`,
  });
}

/** The content of one output, across as many connections as it takes. */
class ContentSource {
  /** The bytes that were taken. */
  position = 0;
  readonly #id: string;
  readonly #sending: Sending;
  readonly #whole: Deadline;
  #connection: Deadline | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #etag: string | null = null;
  #bytes: number | undefined;
  /** Bytes to leave out, of an answer that begins anew. */
  #skip = 0;
  #failures = 0;

  constructor(id: string, sending: Sending, signal: AbortSignal | undefined) {
    this.#id = id;
    this.#sending = sending;
    this.#whole = new Deadline(signal);
  }

  /** @param position of the first byte that is wanted  @returns the first answer, and the size of the whole  @throws GengaError */
  async open(position: number): Promise<{ headers: Headers; bytes: number | undefined }> {
    try {
      const { headers, status } = await this.#request(position === 0 ? {} : { range: `bytes=${position}-` });
      this.#etag = headers.get("etag");
      const whole = headers.get("content-range")?.split("/")[1] ?? headers.get("content-length");
      this.#bytes = whole === null || whole === "*" ? undefined : Number(whole);
      this.#skip = status === 206 ? 0 : position;
      this.position = position;
      return { headers, bytes: this.#bytes };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @returns the next bytes; undefined at the end  @throws GengaError when it cannot go on */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      try {
        const chunk = await this.#read();
        if (chunk === undefined && this.#isShort) throw connectionError(new Error("the content was cut off"));
        if (chunk?.byteLength === 0) continue;
        this.#failures = 0;
        if (chunk === undefined) this.close();
        else this.position += chunk.byteLength;
        return chunk;
      } catch (error) {
        this.#whole.signal.throwIfAborted();
        this.#failures += 1;
        const { retries } = this.#sending;
        if (this.#failures >= retries.attemptsMax || (error instanceof GengaError && error.status !== 0))
          throw error;
        await pause(backoffMs(this.#failures, retries), this.#whole.signal);
        await this.#resume();
      }
    }
  }

  close(): void {
    const reason = new Error("The download is over.");
    this.#connection?.abort(reason);
    this.#connection?.end();
    this.#whole.abort(reason);
    this.#whole.end();
  }

  get #isShort(): boolean {
    return this.#bytes !== undefined && this.position < this.#bytes;
  }

  async #read(): Promise<Uint8Array | undefined> {
    const [reader, connection] = [this.#reader, this.#connection];
    if (reader === undefined || connection === undefined) return undefined;
    const chunk = await readChunk(reader, connection, stalledMs);
    if (chunk === undefined) return undefined;
    const skipped = Math.min(this.#skip, chunk.byteLength);
    this.#skip -= skipped;
    return chunk.subarray(skipped);
  }

  /** Asks for the rest. An answer with all of it, as for texts, is read up to where the last one was cut off. */
  async #resume(): Promise<void> {
    if (this.position === 0) {
      await this.#request({});
      return;
    }
    const etag = this.#etag === null ? {} : { "if-range": this.#etag };
    const response = await this.#request({ range: `bytes=${this.position}-`, ...etag });
    const isRest = response.status === 206;
    this.#skip = isRest ? 0 : this.position;
    const begin = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
    const isSame = response.headers.get("etag") === this.#etag;
    if (isSame && (!isRest || Number(begin) === this.position)) return;
    throw new GengaError({
      ...{ status: response.status, code: ownCodes.contentMismatch, detail: "" },
      title: "The content changed while it was downloaded",
    });
  }

  async #request(headers: Record<string, string>): Promise<Response> {
    this.#connection?.abort(new Error("Another connection takes its place."));
    this.#connection?.end();
    const connection = (this.#connection = new Deadline(this.#whole.signal));
    const { baseUrl, headers: own } = this.#sending;
    const request = new Request(`${baseUrl}/api/anime/outputs/${encodeURIComponent(this.#id)}`, {
      headers: { ...own, ...headers },
      signal: connection.signal,
    });
    const response = await sendRequest(request, this.#sending, {
      ...{ isStreamed: true, signal: connection.signal },
    });
    this.#reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader();
    return response;
  }
}
