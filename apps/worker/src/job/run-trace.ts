import { type Tracing, type TraceSpan } from "@genga/runtime";
import { waitedMs } from "../metrics/run-metrics.ts";
import { type Run } from "./run.ts";

/** What is told of one run to a collector of traces. Nothing, unless its job is in a trace. */
export class RunTrace {
  readonly #tracing: Pick<Tracing, "start">;
  readonly #attempt: TraceSpan | null;
  readonly #open = new Set<TraceSpan>();

  /** @param serverUrl the server's identity, which log lines have as well */
  constructor(run: Run, serverUrl: string, tracing: Tracing) {
    this.#tracing = tracing;
    const { job, attempt } = run.leased;
    const parent = job.traceparent;
    if (!tracing.isOn || parent === null) {
      this.#attempt = null;
      return;
    }
    const { jobId, promptId, wasAdopted } = run;
    const ofJob = { "genga.job.id": jobId, "genga.attempt": attempt };
    // A successor adopts a prompt that did not wait again.
    const waited = wasAdopted ? null : waitedMs(job);
    if (waited !== null) {
      const at = new Date(Date.now() - waited);
      tracing.start("queue", { parent, kind: "consumer", at, attributes: ofJob }).end();
    }
    this.#attempt = tracing.start("attempt", {
      parent,
      kind: "consumer",
      attributes: {
        ...ofJob,
        "genga.job.type": job.type,
        "genga.prompt.id": promptId,
        "genga.server": serverUrl,
        "genga.adopted": wasAdopted,
      },
    });
  }

  /** A part of the run. @returns ends it */
  async during<Result>(name: "comfyui" | "storage", work: () => Promise<Result>): Promise<Result> {
    if (this.#attempt === null) return work();
    const span = this.#tracing.start(name, { parent: this.#attempt.traceparent });
    this.#open.add(span);
    try {
      return await work();
    } catch (error) {
      this.#end(span, error);
      throw error;
    } finally {
      this.#end(span);
    }
  }

  /** @param outcome `left` = another worker goes on with the job, or will */
  end(outcome: string): void {
    this.#attempt?.end({ attributes: { "genga.outcome": outcome } });
  }

  #end(span: TraceSpan, error?: unknown): void {
    // Messages of errors may quote secrets that the server was given.
    if (this.#open.delete(span))
      span.end(error === undefined ? {} : { error: error instanceof Error ? error.name : "error" });
  }
}
