import { isTerminal, type Job, type JobEventType, type JobProgress, type PreviewPicture } from "@genga/jobs";
import { z } from "zod";
import { type EventView } from "../jobs/job-view.ts";
import { type JobStream } from "../jobs/watch-job.ts";
import { comfyProgressOf, comfyStatusOf, type ComfyStatus } from "./comfy-job-view.ts";

interface ComfyJobStreamParts {
  /** The job's outputs, as the Comfy API v2 has them. */
  outputs: () => Promise<Record<string, unknown>[]>;
  /** The class of a node of the job; `null` = it is not known. */
  nodeClassOf: (node: string | null) => Promise<string | null>;
  positionOf: (job: Job) => Promise<number | null>;
  /** It is counted again after so long. */
  positionEveryMs: number;
  /** The latest picture of an attempt; `null` = there is none. */
  picture: (attempt: number) => Promise<PreviewPicture | null>;
}

/** What the events of a job say of its state; those that are not here change nothing. */
const statusOfEvent: Partial<Record<JobEventType, ComfyStatus>> = {
  ...{
    claimed: "running",
    submitted: "running",
    executing: "running",
    saving: "running",
    adopted: "running",
  },
  ...{ requeued: "queued", retry_requested: "queued", cancel_requested: "canceling" },
  ...{ completed: "succeeded", failed: "failed", timeout: "expired", cancelled: "canceled" },
};

const liveProgressSchema = z.object({
  progress: z.custom<JobProgress>((value) => typeof value === "object"),
});
const noteSchema = z.object({ attempt: z.number() });

/**
 * Tells what our own streams tell of a job in the events of the Comfy API v2: `status`, `progress`, `preview`, `output`. They
 * have no ids: nobody can resume such a stream, and whoever connects is told the state at first.
 */
export class ComfyJobStream implements JobStream {
  readonly #stream: JobStream;
  readonly #parts: ComfyJobStreamParts;
  #status: ComfyStatus | undefined;
  #position: number | null = null;
  /** When the place in the queue was counted last. */
  #countedAt = Number.NEGATIVE_INFINITY;
  #node: string | null = null;
  #isFetching = false;

  constructor(stream: JobStream, parts: ComfyJobStreamParts) {
    this.#stream = stream;
    this.#parts = parts;
  }

  get closed(): AbortSignal {
    return this.#stream.closed;
  }

  get idleMs(): number {
    return this.#stream.idleMs;
  }

  comment(text: string): Promise<void> {
    return this.#stream.comment(text);
  }

  end(): void {
    this.#stream.end();
  }

  async send(name: string, data: unknown): Promise<void> {
    if (name === "snapshot") await this.#sendSnapshot(data as Job);
    else if (name === "event") await this.#sendEvent(data as EventView);
    else if (name === "preview") this.#fetchPreview(noteSchema.parse(data).attempt);
    // Of a removed job the end of the stream says enough: the client asks, and is told that there is no such job.
  }

  /** Of our own streams only progress is JSON already. */
  async sendJson(_name: string, json: string): Promise<void> {
    const { progress } = liveProgressSchema.parse(JSON.parse(json));
    await this.#sendProgress(progress);
  }

  /** Tells the place in the queue, where it has changed. */
  async notePosition(job: Job): Promise<void> {
    if (this.#status !== "queued" || job.status !== "queued") return;
    if (performance.now() - this.#countedAt < this.#parts.positionEveryMs) return;
    const position = await this.#positionOf(job);
    if (position !== this.#position) await this.#sendStatus("queued", position);
  }

  async #positionOf(job: Job): Promise<number | null> {
    const position = await this.#parts.positionOf(job);
    this.#countedAt = performance.now();
    return position;
  }

  async #sendSnapshot(job: Job): Promise<void> {
    const status = comfyStatusOf(job);
    if (isTerminal(job.status)) {
      await this.#end(status);
      return;
    }
    await this.#sendStatus(status, await this.#positionOf(job));
    if (job.status !== "processing") return;
    await this.#sendProgress(job.progress);
    if (job.phase === "executing") this.#fetchPreview(job.attempt);
  }

  async #sendEvent({ type }: EventView): Promise<void> {
    const status = statusOfEvent[type];
    if (status === undefined || status === this.#status) return;
    // Whatever its server still does with it, it is being cancelled until that has ended.
    if (this.#status === "canceling" && (status === "running" || status === "queued")) return;
    if (isEnd(status)) await this.#end(status);
    else await this.#sendStatus(status, null);
  }

  /** Clients stop reading at the last status, so the outputs come before it. */
  async #end(status: ComfyStatus): Promise<void> {
    if (status === "succeeded")
      for (const output of await this.#parts.outputs()) await this.#stream.send("output", output);
    await this.#sendStatus(status, null);
  }

  async #sendStatus(status: ComfyStatus, position: number | null): Promise<void> {
    this.#status = status;
    this.#position = position;
    await this.#stream.send("status", { status, queue_position: position });
  }

  async #sendProgress(progress: JobProgress): Promise<void> {
    this.#node = progress.node;
    const nodeClass = await this.#parts.nodeClassOf(progress.node);
    await this.#stream.send("progress", comfyProgressOf(progress, { nodeClass }));
  }

  /** A picture may take a moment to come from the worker, for which nothing else is to wait. One that fails is left out. */
  #fetchPreview(attempt: number): void {
    if (this.#isFetching) return;
    this.#isFetching = true;
    this.#sendPreview(attempt)
      .catch(() => undefined)
      .finally(() => {
        this.#isFetching = false;
      });
  }

  async #sendPreview(attempt: number): Promise<void> {
    const picture = await this.#parts.picture(attempt);
    if (picture === null || this.#status !== "running") return;
    await this.#stream.send("preview", {
      ...{ node_id: this.#node ?? "", content_type: picture.mediaType },
      data_base64: Buffer.from(picture.bytes).toString("base64"),
    });
  }
}

function isEnd(status: ComfyStatus): boolean {
  return status === "succeeded" || status === "failed" || status === "expired" || status === "canceled";
}
