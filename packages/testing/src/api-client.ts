import { EventSourceParserStream } from "eventsource-parser/stream";
import { z } from "zod";

const jobSchema = z.looseObject({
  id: z.string(),
  status: z.enum(["queued", "processing", "completed", "failed", "timeout", "cancelled"]),
  phase: z.string().nullable(),
  attempt: z.number(),
  progress: z.looseObject({ percent: z.number(), nodeTitle: z.string().nullable() }),
  failure: z.looseObject({ code: z.string(), message: z.string() }).nullable(),
  cancelTooLate: z.boolean(),
  sequence: z.number(),
});
const acceptedSchema = z.object({
  id: z.string(),
  status: z.string(),
  links: z.record(z.string(), z.string()),
});
const outputSchema = z.looseObject({
  id: z.string(),
  kind: z.enum(["file", "text"]),
  filename: z.string().nullable(),
  mediaType: z.string(),
  bytes: z.number(),
  sha256: z.string(),
  width: z.number().nullable(),
  height: z.number().nullable(),
  durationMs: z.number().nullable(),
  text: z.string().nullable(),
});
const outputsSchema = z.object({ outputs: z.array(outputSchema) });
const batchAcceptedSchema = z.object({ id: z.string(), jobs: z.array(z.object({ id: z.string() })) });
const batchSchema = z.looseObject({
  id: z.string(),
  total: z.number(),
  counts: z.record(z.string(), z.number()),
});

export type JobAnswer = z.infer<typeof jobSchema>;
export type OutputAnswer = z.infer<typeof outputSchema>;

/** A frame of `GET jobs/{id}/events`. */
export interface StreamFrame {
  event: string;
  id: string | undefined;
  data: unknown;
}

const ended = new Set(["completed", "failed", "timeout", "cancelled"]);

/** A client of the HTTP API, as a stranger would write it: it uses only paths and JSON. */
export class ApiClient {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param url of the API, without a path @param key an API key; absent: the client sends none */
  constructor(url: string, key?: string) {
    this.#base = `${url}/api/anime`;
    this.#headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  }

  async request(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${this.#base}/${path}`, {
      method,
      headers: { ...this.#headers, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  /** @throws Error with the answer when its status is not 202 */
  async submit(body: object, path = "generate"): Promise<string> {
    const response = await this.request("POST", path, body);
    if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
    return acceptedSchema.parse(await response.json()).id;
  }

  async submitBatch(jobs: object[]): Promise<{ id: string; jobIds: string[] }> {
    const response = await this.request("POST", "batches", { jobs });
    if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
    const { id, jobs: accepted } = batchAcceptedSchema.parse(await response.json());
    return { id, jobIds: accepted.map((job) => job.id) };
  }

  async job(id: string): Promise<JobAnswer> {
    const response = await this.request("GET", `job/${id}`);
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return jobSchema.parse(await response.json());
  }

  async batch(id: string): Promise<z.infer<typeof batchSchema>> {
    return batchSchema.parse(await (await this.request("GET", `batches/${id}`)).json());
  }

  async outputs(id: string): Promise<OutputAnswer[]> {
    return outputsSchema.parse(await (await this.request("GET", `jobs/${id}/outputs`)).json()).outputs;
  }

  /** The bytes of an output. */
  async download(outputId: string): Promise<Buffer> {
    const response = await this.request("GET", `outputs/${outputId}`);
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return Buffer.from(await response.arrayBuffer());
  }

  async cancel(id: string): Promise<number> {
    return (await this.request("POST", `jobs/${id}/cancel`)).status;
  }

  /** The live events of a job, from its snapshot until the stream ends. */
  async *events(
    id: string,
    options: { signal?: AbortSignal; lastEventId?: string } = {},
  ): AsyncGenerator<StreamFrame> {
    const response = await fetch(`${this.#base}/jobs/${id}/events`, {
      ...(options.signal !== undefined && { signal: options.signal }),
      headers: {
        ...this.#headers,
        ...(options.lastEventId !== undefined && { "last-event-id": options.lastEventId }),
      },
    });
    if (response.status !== 200 || response.body === null) throw new Error(`${response.status}`);
    const messages = response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream());
    for await (const { event = "message", id, data } of messages) {
      yield { event, id, data: JSON.parse(data) as unknown };
    }
  }

  /**
   * Resolves with the job once `test` holds for it. Follows the job's events, and requests the job again when the
   * stream breaks.
   */
  until(id: string, test: (job: JobAnswer) => boolean): Promise<JobAnswer> {
    return this.#until(id, test, () => true);
  }

  /** As `until`. No job has ended when its progress is told. */
  untilEnded(id: string): Promise<JobAnswer> {
    return this.#until(
      id,
      (job) => ended.has(job.status),
      ({ event }) => event !== "progress",
    );
  }

  async #until(
    id: string,
    test: (job: JobAnswer) => boolean,
    mayTell: (frame: StreamFrame) => boolean,
  ): Promise<JobAnswer> {
    for (;;) {
      let job = await this.job(id);
      if (test(job)) return job;
      if (ended.has(job.status)) throw new Error(`Job ${id} ended differently: ${JSON.stringify(job)}`);
      try {
        for await (const frame of this.events(id)) {
          if ((frame.event === "" && frame.data === null) || !mayTell(frame)) continue;
          job = await this.job(id);
          if (test(job)) return job;
        }
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
    }
  }
}
