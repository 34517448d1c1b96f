import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ApiClient } from "@genga/testing";
import { eventSchema, observedJobSchema, type Answer, type StreamedFrame } from "../history/history.ts";
import { type World } from "../world/world.ts";

/** A request without an answer within this time counts as unanswered. */
const patienceMs = 5_000;

export interface Reply {
  /** When the request was sent. */
  at: number;
  /** When the answer arrived, or the request was given up. */
  endedAt: number;
  /** `null`: no answer came. */
  httpStatus: number | null;
  text: string;
}

/** Sends requests to one of the APIs, to whichever process runs in its place now. A missing answer is no error. */
export class ChaosClient {
  readonly #world: World;
  readonly #api: number;

  constructor(world: World, api: number) {
    this.#world = world;
    this.#api = api;
  }

  /** @param key the Idempotency-Key of a submission */
  async request(method: string, path: string, body?: unknown, key?: string): Promise<Reply> {
    const at = Date.now();
    try {
      const response = await fetch(`${this.#url()}/api/anime/${path}`, {
        method,
        signal: AbortSignal.timeout(patienceMs),
        ...(body !== undefined && {
          headers: {
            "content-type": "application/json",
            ...(key !== undefined && { "idempotency-key": key }),
          },
          body: JSON.stringify(body),
        }),
      });
      const text = await response.text();
      return { at, endedAt: Date.now(), httpStatus: response.status, text };
    } catch {
      return { at, endedAt: Date.now(), httpStatus: null, text: "" }; // the API is dead, paused, or cut in mid-answer
    }
  }

  async readJob(jobId: string): Promise<Answer> {
    const { at, httpStatus, text } = await this.request("GET", `job/${jobId}`);
    if (httpStatus !== 200) return { at, httpStatus, ...(httpStatus !== null && { text }) };
    return { at, httpStatus, job: observedJobSchema.parse(JSON.parse(text)) };
  }

  /** The frames of one stream, until it ends or breaks, or the signal aborts. */
  async stream(jobId: string, signal: AbortSignal, lastEventId?: string): Promise<StreamedFrame[]> {
    const frames: StreamedFrame[] = [];
    const client = new ApiClient(this.#url());
    try {
      for await (const frame of client.events(jobId, {
        signal,
        ...(lastEventId !== undefined && { lastEventId }),
      })) {
        frames.push({
          at: Date.now(),
          event: frame.event,
          sequence: frame.id === undefined ? null : Number(frame.id),
          ...figuresOf(frame.event, frame.data),
        });
      }
    } catch {
      // Broken by a fault, or by the round's end: what was heard so far is what counts.
    }
    return frames;
  }

  /** All events of an ended job. @throws Error when they cannot be read */
  async events(jobId: string): Promise<z.output<typeof eventSchema>[]> {
    const client = new ApiClient(this.#url());
    const events: z.output<typeof eventSchema>[] = [];
    const signal = AbortSignal.timeout(4 * patienceMs);
    for await (const frame of client.events(jobId, { signal, lastEventId: "0" })) {
      if (frame.event === "event") events.push(eventSchema.parse(frame.data));
    }
    return events;
  }

  async download(outputId: string): Promise<Buffer> {
    return new ApiClient(this.#url()).download(outputId);
  }

  /** Repeats the request until the answer has this status. @throws Error after a minute */
  async insist(method: string, path: string, httpStatus: number): Promise<string> {
    let last: Reply | undefined;
    for (let tries = 0; tries < 120; tries += 1) {
      last = await this.request(method, path);
      if (last.httpStatus === httpStatus) return last.text;
      await sleep(500);
    }
    throw new Error(`${method} ${path} answers ${last?.httpStatus ?? "nothing"}: ${last?.text ?? ""}`);
  }

  #url(): string {
    return this.#world.apis[this.#api % this.#world.apis.length]?.url ?? "";
  }
}

const progressFrameSchema = z.object({
  attempt: z.number(),
  status: z.string().optional(),
  progress: z.object({ percent: z.number() }),
});

/** The attempt and percentage in a frame that shows progress. The frame of a requeued job shows none. */
function figuresOf(event: string, data: unknown): { attempt: number | null; percent: number | null } {
  const frame = progressFrameSchema.safeParse(data).data;
  if (frame === undefined || (event === "snapshot" && frame.status !== "processing")) {
    return { attempt: null, percent: null };
  }
  return { attempt: frame.attempt, percent: frame.progress.percent };
}
