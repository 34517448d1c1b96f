import { setTimeout as sleep } from "node:timers/promises";
import { type JobHistory, type JobRequest, type LaneRequest } from "../history/history.ts";
import { type ChaosClient, type Reply } from "../observing/chaos-client.ts";
import { type Observer } from "../observing/observer.ts";
import { type Step, type WaitingStep } from "../plan/plan.ts";
import { type Asking, changePriority, pauseForAWhile, pauseLaneForAWhile } from "./waiting-requests.ts";

export interface AcceptedJob {
  id: string;
  /** Its name in the plan. */
  name: string;
  requests: JobHistory["requests"];
}

export interface AcceptedBatch {
  id: string;
  /** The names of its jobs in the plan. */
  jobs: string[];
}

/** A request about jobs, batches or lanes that exist already. */
export type RequestStep = Exclude<Step, { do: "fault" | "submit" | "submit-batch" | "reuse" | "remove" }>;

interface JobRequestsParts {
  /** By their names in the plan. */
  accepted: ReadonlyMap<string, AcceptedJob>;
  batches: ReadonlyMap<string, AcceptedBatch>;
  observer: Observer;
  clients: readonly [ChaosClient, ChaosClient];
  /** Called for an answer that should not come. */
  onRefusal: (path: string, reply: Reply) => void;
}

/** Sends the requests of a plan about what was accepted, and records those that the checker must know. */
export class JobRequests {
  readonly ofLanes: LaneRequest[] = [];
  readonly #parts: JobRequestsParts;

  constructor(parts: JobRequestsParts) {
    this.#parts = parts;
  }

  async ask(step: RequestStep): Promise<void> {
    switch (step.do) {
      case "cancel":
        await this.#ask("cancel", step);
        return;
      case "retry":
        await this.#retryOnceEnded(step);
        return;
      case "pause":
      case "pause-batch":
      case "priority":
      case "priority-batch":
        await this.#askWaiting(step);
        return;
      case "pause-lane":
        this.ofLanes.push(...(await pauseLaneForAWhile(step.lane, step.forMs, this.#asking(step.api))));
        return;
      case "cancel-batch":
        await this.#askBatch("cancel-batch", step);
        return;
      case "retry-batch":
        await this.#retryBatchOnceEnded(step);
    }
  }

  async #ask(kind: "cancel" | "retry", step: { job: string; api: number }): Promise<void> {
    const job = await whenKnown(() => this.#parts.accepted.get(step.job));
    if (job !== undefined) await this.#request(kind, `jobs/${job.id}/${kind}`, [job], step.api);
  }

  async #askBatch(kind: "cancel-batch" | "retry-batch", step: { batch: string; api: number }): Promise<void> {
    const batch = await whenKnown(() => this.#parts.batches.get(step.batch));
    if (batch === undefined) return;
    const jobs = batch.jobs.flatMap((name) => this.#parts.accepted.get(name) ?? []);
    const path = `batches/${batch.id}/${kind === "cancel-batch" ? "cancel" : "retry"}`;
    await this.#request(kind, path, jobs, step.api);
  }

  async #request(
    kind: JobRequest["kind"],
    path: string,
    jobs: readonly AcceptedJob[],
    api: number,
  ): Promise<void> {
    const request: JobRequest = { kind, at: Date.now(), endedAt: Number.POSITIVE_INFINITY, httpStatus: null };
    for (const job of jobs) job.requests.push(request);
    const reply = await this.#parts.clients[api % 2 === 0 ? 0 : 1].request("POST", path);
    request.httpStatus = reply.httpStatus;
    request.endedAt = reply.endedAt;
    // A retry also brings back jobs that had failed because of this one.
    if (kind.startsWith("retry"))
      for (const { id } of this.#parts.accepted.values()) this.#parts.observer.askAgain(id);
    if (reply.httpStatus !== null && ![202, 409, 503].includes(reply.httpStatus)) {
      this.#parts.onRefusal(path, reply);
    }
  }

  async #askWaiting(step: Exclude<WaitingStep, { do: "pause-lane" }>): Promise<void> {
    const find = (): string | undefined =>
      "job" in step ? this.#parts.accepted.get(step.job)?.id : this.#parts.batches.get(step.batch)?.id;
    const id = await whenKnown(find);
    if (id === undefined) return;
    const path = `${"job" in step ? "jobs" : "batches"}/${id}`;
    const asking = this.#asking(step.api);
    if ("forMs" in step) await pauseForAWhile(path, step.forMs, asking);
    else await changePriority(path, step.priority, asking);
  }

  #asking(api: number): Asking {
    const { clients, onRefusal } = this.#parts;
    return { api, clients, onRefusal };
  }

  /** Retries a job that was just cancelled. A job that completes in spite of the cancel request is left alone. */
  async #retryOnceEnded(step: { job: string; api: number }): Promise<void> {
    const job = this.#parts.accepted.get(step.job);
    if (job === undefined) return;
    for (let tries = 0; tries < 40 && !this.#parts.observer.hasEnded(job.id); tries += 1) await sleep(100);
    const status = this.#parts.observer.latest(job.id)?.status;
    if (this.#parts.observer.hasEnded(job.id) && status !== "completed") await this.#ask("retry", step);
  }

  async #retryBatchOnceEnded(step: { batch: string; api: number }): Promise<void> {
    const ids = this.#parts.batches
      .get(step.batch)
      ?.jobs.flatMap((name) => this.#parts.accepted.get(name)?.id ?? []);
    if (ids === undefined) return;
    const haveEnded = (): boolean => ids.every((id) => this.#parts.observer.hasEnded(id));
    for (let tries = 0; tries < 40 && !haveEnded(); tries += 1) await sleep(100);
    await this.#askBatch("retry-batch", step);
  }
}

/** The answer to a submission may be under way when a request about it is due; `undefined` = it did not come in time. */
async function whenKnown<Known>(find: () => Known | undefined): Promise<Known | undefined> {
  for (let tries = 0; tries < 60; tries += 1) {
    const known = find();
    if (known !== undefined) return known;
    await sleep(50);
  }
  return undefined;
}
