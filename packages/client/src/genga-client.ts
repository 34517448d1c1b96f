import createClient, { type Client, defaultPathSerializer } from "openapi-fetch";
import {
  type AcceptedBatch,
  type AcceptedJob,
  type BatchDetail,
  type CancelledBatch,
  type CheckedBatch,
  type JobDetail,
  type NewBatch,
  type NewJob,
  type Output,
  type paths,
  type RetriedBatch,
  type Sweep,
  type Upload,
} from "./api-types.ts";
import { awaitedBatch, awaitedJob } from "./awaited-things.ts";
import { download, type Download, type DownloadOptions } from "./download.ts";
import { GengaEvents, type EventChoice } from "./events.ts";
import { exactJsonText } from "./exact-json.ts";
import { GengaError } from "./genga-error.ts";
import { sendRequest, type Retries, type Sending, type Sent } from "./send-request.ts";
import { StreamPlaces } from "./stream-places.ts";
import { waitForEnd, type WaitOptions } from "./wait-for-end.ts";
import { zip, type ZipFilter, type ZipOptions } from "./zip.ts";

export interface GengaClientOptions {
  /** Of the API, without `/api/anime`. */
  readonly baseUrl: string;
  /**
   * Absent where the API asks for none, and in a page of the API's own origin, where the browser sends the cookie of a
   * session by itself.
   */
  readonly apiKey?: string | undefined;
  /** Sent with every request, also of streams, downloads and uploads. */
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of the platform's. */
  readonly fetch?: ((request: Request, init: { signal: AbortSignal }) => Promise<Response>) | undefined;
  readonly retries?: Partial<Retries>;
  /** An answer that has not arrived after so long counts as lost. */
  readonly answerMs?: number;
  /** Streams that waits keep open together; further waits ask again and again. */
  readonly streamsMax?: number;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface SubmissionOptions extends RequestOptions {
  /** Under this key the submission is accepted once, however often it is sent. Absent: the client draws one. */
  readonly idempotencyKey?: string | undefined;
}

/** A job or a batch: its id, or an answer about it. */
export type Subject = string | { readonly id: string };
type BatchLike = { readonly id: string } & ({ readonly jobs: unknown } | { readonly counts: unknown });

/** A client of Genga's HTTP API. Its methods throw a GengaError where the API refuses. */
export class GengaClient {
  /** Every route of the API, with the types of the OpenAPI document. It throws as the methods do. */
  readonly http: Client<paths>;
  readonly #sending: Sending;
  readonly #places: StreamPlaces;

  /** @throws TypeError if the key, or another header, has a character that headers cannot have */
  constructor(options: GengaClientOptions) {
    const { baseUrl, apiKey, headers, fetch: given, retries, answerMs = 60_000, streamsMax = 4 } = options;
    this.#sending = {
      baseUrl: baseUrl.replace(/\/+$/, ""),
      headers: checkedHeaders({
        ...headers,
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      }),
      fetch: given ?? ((request, init) => fetch(request, init)),
      retries: { attemptsMax: 5, firstMs: 250, longestMs: 8_000, retryAfterMaxMs: 60_000, ...retries },
      answerMs,
    };
    this.#places = new StreamPlaces(streamsMax);
    this.http = createClient<paths>({
      baseUrl: this.#sending.baseUrl,
      headers: this.#sending.headers,
      fetch: (request) => sendRequest(request, this.#sending, howOf(request)),
      bodySerializer: exactJsonText,
      pathSerializer: (path, values) => defaultPathSerializer(path, checkedPlaces(path, values)),
      querySerializer: { array: { style: "form", explode: false } },
    });
  }

  /** @returns when the job is stored: from then on it is not lost */
  async submit(job: NewJob, options: SubmissionOptions = {}): Promise<AcceptedJob> {
    const body = { body: job, ...submissionInit(options) };
    return dataOf(await this.http.POST("/api/anime/generate", body)) as AcceptedJob;
  }

  /** All jobs are accepted, or none. */
  async submitBatch(
    batch: Omit<NewBatch, "dryRun">,
    options: SubmissionOptions = {},
  ): Promise<AcceptedBatch> {
    const body = { body: batch, ...submissionInit(options) };
    return dataOf(await this.http.POST("/api/anime/batches", body)) as AcceptedBatch;
  }

  /** One job for each combination of the values. */
  sweep(
    sweep: Sweep,
    {
      idempotencyKey,
      signal,
      ...batch
    }: SubmissionOptions & Omit<NewBatch, "jobs" | "sweep" | "dryRun"> = {},
  ): Promise<AcceptedBatch> {
    return this.submitBatch({ ...batch, sweep }, { idempotencyKey, signal });
  }

  /** What a batch would be; nothing is stored. */
  async check(batch: Omit<NewBatch, "dryRun">, options: RequestOptions = {}): Promise<CheckedBatch> {
    const body = { body: { ...batch, dryRun: true }, ...submissionInit(options) };
    return dataOf(await this.http.POST("/api/anime/batches", body)) as CheckedBatch;
  }

  async job(id: string, options: RequestOptions = {}): Promise<JobDetail> {
    return dataOf(
      await this.http.GET("/api/anime/jobs/{id}", { params: { path: { id } }, ...signalOf(options) }),
    ) as JobDetail;
  }

  async batch(id: string, options: RequestOptions = {}): Promise<BatchDetail> {
    const init = { params: { path: { id } }, ...signalOf(options) };
    return dataOf(await this.http.GET("/api/anime/batches/{id}", init)) as BatchDetail;
  }

  /**
   * Waits until a job, or every job of a batch, has ended, however it has ended.
   * @throws GengaError if there is no such job or batch, or it is removed meanwhile
   * @throws DOMException `TimeoutError` after `timeoutMs`, or the reason of the signal
   */
  waitFor(batch: BatchLike, options?: WaitOptions<BatchDetail>): Promise<BatchDetail>;
  waitFor(
    job: { readonly id: string; readonly status: string },
    options?: WaitOptions<JobDetail>,
  ): Promise<JobDetail>;
  waitFor(subject: string, options?: WaitOptions<JobDetail | BatchDetail>): Promise<JobDetail | BatchDetail>;
  waitFor(
    subject: Subject,
    options: WaitOptions<never> | WaitOptions<JobDetail | BatchDetail> = {},
  ): Promise<JobDetail | BatchDetail> {
    const parts = { sending: this.#sending, places: this.#places };
    return this.#eitherOf(
      subject,
      (id) => waitForEnd(awaitedJob(id, this.#sending), parts, options as WaitOptions<JobDetail>),
      (id) => waitForEnd(awaitedBatch(id, this.#sending), parts, options as WaitOptions<BatchDetail>),
    );
  }

  /** What happens to the tenant's jobs, live and without gaps, also after the connection was cut. */
  events(choice: EventChoice = {}): GengaEvents {
    return new GengaEvents(this.#sending, choice);
  }

  /** A job that has been cancelled already, by an earlier request whose answer was lost, is no refusal. */
  cancel(subject: Subject, options: RequestOptions = {}): Promise<JobDetail | CancelledBatch> {
    return this.#eitherOf(
      subject,
      async (id) => {
        const init = { params: { path: { id } }, ...signalOf(options) };
        try {
          return dataOf(await this.http.POST("/api/anime/jobs/{id}/cancel", init)) as JobDetail;
        } catch (error) {
          if (!(error instanceof GengaError) || error.status !== 409 || error.attempts === 1) throw error;
          return this.job(id, options);
        }
      },
      async (id) => {
        const init = { params: { path: { id } }, ...signalOf(options) };
        return dataOf(await this.http.POST("/api/anime/batches/{id}/cancel", init)) as CancelledBatch;
      },
    );
  }

  /** @param extraData again, where the job was submitted with some */
  retry(
    subject: Subject,
    { extraData, ...options }: RequestOptions & { readonly extraData?: Record<string, unknown> } = {},
  ): Promise<JobDetail | RetriedBatch> {
    const body = extraData === undefined ? {} : { body: { extraData } };
    return this.#eitherOf(
      subject,
      async (id) => {
        const init = { params: { path: { id } }, ...body, ...signalOf(options) };
        return dataOf(await this.http.POST("/api/anime/jobs/{id}/retry", init)) as JobDetail;
      },
      async (id) => {
        const init = { params: { path: { id } }, ...body, ...signalOf(options) };
        return dataOf(await this.http.POST("/api/anime/batches/{id}/retry", init)) as RetriedBatch;
      },
    );
  }

  async outputs(jobId: string, options: RequestOptions = {}): Promise<readonly Output[]> {
    const init = { params: { path: { id: jobId } }, ...signalOf(options) };
    const answer = await this.http.GET("/api/anime/jobs/{id}/outputs", init);
    return (dataOf(answer) as { outputs: readonly Output[] }).outputs;
  }

  /** The content of an output as a stream, which goes on after a cut, and is compared with its SHA-256. */
  download(output: string | Output, options: DownloadOptions = {}): Promise<Download> {
    return download(output, this.#sending, options);
  }

  /**
   * The outputs of a batch, or of the jobs that match a filter, as a zip with a manifest. A stream that fails when it is cut off, as
   * it is when a file was lost.
   */
  zip(of: BatchLike | string | ZipFilter, options: ZipOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return zip(typeof of === "object" && "id" in of ? of.id : of, this.#sending, options);
  }

  /** @param mediaType that of a Blob is known */
  async upload(
    content: Blob | Uint8Array<ArrayBuffer>,
    { mediaType, signal }: RequestOptions & { readonly mediaType?: string } = {},
  ): Promise<Upload> {
    const type = mediaType ?? (content instanceof Blob ? content.type : "");
    const headers = { ...this.#sending.headers, "content-type": type };
    const again = (): Request =>
      new Request(`${this.#sending.baseUrl}/api/anime/uploads`, {
        ...{ method: "POST", body: content, headers },
        ...signalOf({ signal }),
      });
    // The same file again is the same upload.
    const response = await sendRequest(again(), this.#sending, { isRepeatable: true, again });
    return (await response.json()) as Upload;
  }

  /** An id may be that of a job or of a batch; no two things have the same. */
  async #eitherOf<OfJob, OfBatch>(
    subject: Subject,
    asJob: (id: string) => Promise<OfJob>,
    asBatch: (id: string) => Promise<OfBatch>,
  ): Promise<OfJob | OfBatch> {
    if (typeof subject !== "string") return isBatch(subject) ? asBatch(subject.id) : asJob(subject.id);
    try {
      return await asJob(subject);
    } catch (error) {
      if (!(error instanceof GengaError) || error.code !== "job-not-found") throw error;
      return asBatch(subject);
    }
  }
}

/** The platform's own message quotes the value, which may be a key; this one does not. */
function checkedHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(headers)) {
    try {
      new Headers().set(name, value);
    } catch {
      throw new TypeError(`The header ${name} has a character that headers cannot have.`);
    }
  }
  return headers;
}

/** With an empty id a path is that of the list, and with dots that of the route above it. */
function checkedPlaces(path: string, values: Record<string, unknown>): Record<string, unknown> {
  for (const [name, value] of Object.entries(values))
    if (typeof value === "string" && /^\.{0,2}$/.test(value))
      throw new TypeError(`"${value}" cannot be the ${name} of ${path}.`);
  return values;
}

function isBatch(subject: object): boolean {
  return "counts" in subject || "jobs" in subject;
}

/** Requests that change nothing when they are repeated, besides those that read or have a key. */
function howOf({ method, url }: Request): Sent {
  return { ...(method === "POST" && new URL(url).pathname.endsWith("/cancel") && { isRepeatable: true }) };
}

function submissionInit({ idempotencyKey, signal }: SubmissionOptions): {
  params: { header: { "Idempotency-Key": string } | Record<string, never> };
  signal?: AbortSignal;
} {
  const header = idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey };
  return { params: { header }, ...signalOf({ signal }) };
}

function signalOf({ signal }: RequestOptions): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** Refusals are thrown before this. */
function dataOf({ data }: { data?: unknown }): unknown {
  return data;
}
