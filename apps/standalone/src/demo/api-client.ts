import { createParser } from "eventsource-parser";
import { z } from "zod";

const jobStateSchema = z.object({
  id: z.string(),
  status: z.enum(["queued", "processing", "completed", "failed", "timeout", "cancelled"]),
  phase: z.string().nullable(),
  attempt: z.number(),
  progress: z.object({
    percent: z.number(),
    node: z.string().nullable(),
    nodeTitle: z.string().nullable(),
    step: z.number().nullable(),
    steps: z.number().nullable(),
    remainingLowMs: z.number().nullable(),
    remainingHighMs: z.number().nullable(),
  }),
  failure: z.object({ code: z.string(), message: z.string() }).nullable(),
  /** The reason why the job waits; only in the answer for a single job. */
  waitingFor: z.object({ message: z.string() }).nullable().optional(),
  /** When it will probably end; only in the answer for a single job, and only if jobs like it were measured. */
  eta: z
    .object({ endsAt: z.object({ low: z.coerce.date(), high: z.coerce.date() }) })
    .nullable()
    .optional(),
  outputs: z
    .array(z.object({ mediaType: z.string(), bytes: z.number(), links: z.object({ content: z.string() }) }))
    .default([]),
});

/** The fields of a job in the API's answers that the demonstration uses. */
export type JobState = z.infer<typeof jobStateSchema>;

const progressSchema = jobStateSchema.pick({ attempt: true, phase: true, progress: true });

/** One event of a stream: the whole job, its progress, or a hint to ask for the job again. */
export type JobChange =
  | { readonly kind: "snapshot"; readonly job: JobState }
  | { readonly kind: "progress"; readonly progress: z.infer<typeof progressSchema> }
  | { readonly kind: "ask-again" };

const serversSchema = z.object({
  servers: z.array(
    z.object({
      url: z.string(),
      state: z.string(),
      stateReason: z.string().nullable(),
      isKnown: z.boolean(),
    }),
  ),
});
export type ServerState = z.infer<typeof serversSchema>["servers"][number];

const acceptedBatchSchema = z.object({ id: z.string(), jobs: z.array(z.object({ id: z.string() })) });
export type AcceptedBatch = z.infer<typeof acceptedBatchSchema>;

const problemSchema = z.object({
  title: z.string(),
  detail: z.string().optional(),
  problems: z
    .array(
      z.object({
        path: z.string(),
        message: z.string(),
        code: z.string().optional(),
        accepted: z.unknown().optional(),
      }),
    )
    .optional(),
});

/** The API refused the request; the message has every problem on a line of its own. */
export class RefusedByApi extends Error {
  override readonly name = "RefusedByApi";
  readonly status: number;
  readonly problems: NonNullable<z.infer<typeof problemSchema>["problems"]>;

  constructor(status: number, body: string) {
    const problem = problemSchema.safeParse(tryParse(body));
    super(problem.success ? (problem.data.detail ?? problem.data.title) : `${status}: ${body.slice(0, 300)}`);
    this.status = status;
    this.problems = problem.data?.problems ?? [];
  }
}

const requestTimeoutMs = 30_000;

/** A client of the HTTP API that uses only its public routes. */
export class ApiClient {
  readonly #baseUrl: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(baseUrl: string, apiKey: string | undefined) {
    this.#baseUrl = baseUrl;
    this.#headers = apiKey === undefined ? {} : { "x-api-key": apiKey };
  }

  async submitBatch(name: string, jobs: readonly object[], signal: AbortSignal): Promise<AcceptedBatch> {
    const body = JSON.stringify({ name, jobs });
    const headers = { "content-type": "application/json" };
    return acceptedBatchSchema.parse(
      await this.#json("/api/anime/batches", { method: "POST", body, headers, signal }),
    );
  }

  async getJob(id: string, signal: AbortSignal): Promise<JobState> {
    return jobStateSchema.parse(await this.#json(`/api/anime/job/${id}`, { signal }));
  }

  async getServers(signal: AbortSignal): Promise<readonly ServerState[]> {
    return serversSchema.parse(await this.#json("/api/anime/servers", { signal })).servers;
  }

  /**
   * Yields the job's present state and then its changes, until the server ends the stream.
   * @throws Error when the stream breaks off
   */
  async *changes(id: string, signal: AbortSignal): AsyncGenerator<JobChange> {
    const response = await fetch(`${this.#baseUrl}/api/anime/jobs/${id}/events`, {
      headers: { ...this.#headers, accept: "text/event-stream" },
      signal,
    });
    if (!response.ok || response.body === null) {
      throw new RefusedByApi(response.status, await response.text());
    }
    let arrived: JobChange[] = [];
    const parser = createParser({
      onEvent: ({ event, data }) => {
        arrived.push(changeOf(event, tryParse(data)));
      },
    });
    const decoder = new TextDecoder();
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      parser.feed(decoder.decode(chunk, { stream: true }));
      const changes = arrived;
      arrived = [];
      yield* changes;
    }
  }

  async #json(path: string, request: RequestInit & { signal: AbortSignal }): Promise<unknown> {
    const response = await fetch(this.#baseUrl + path, {
      ...request,
      headers: { ...this.#headers, ...(request.headers as Record<string, string> | undefined) },
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(requestTimeoutMs)]),
    });
    const body = await response.text();
    if (!response.ok) throw new RefusedByApi(response.status, body);
    return JSON.parse(body);
  }
}

function changeOf(event: string | undefined, data: unknown): JobChange {
  if (event === "snapshot") return { kind: "snapshot", job: jobStateSchema.parse(data) };
  if (event === "progress") return { kind: "progress", progress: progressSchema.parse(data) };
  return { kind: "ask-again" };
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
