import { setTimeout as sleep } from "node:timers/promises";
import { type ChaosClient, type Reply } from "../observing/chaos-client.ts";
import { type ReuseStep } from "../plan/plan.ts";

const removesMax = 200;
const removeAgainMs = 300;
const completionMsMax = 30_000;
/** Removals begin in the middle of the submissions, which all wait for the first job. */
const removeAfterMs = 100;

type SubmitStep = Extract<ReuseStep, { do: "reuse" }>;

interface ReuseRequestsOptions {
  clients: readonly [ChaosClient, ChaosClient];
  /** Submits the job of a step; `null` = it was not accepted. */
  submit: (step: SubmitStep) => Promise<string | null>;
  /** Removes a job as retention does, unless another transaction has it. */
  retire: (jobId: string) => Promise<boolean>;
  onRefusal: (path: string, reply: Reply) => void;
}

/** Submits jobs that may be answered from each other, and removes some of them meanwhile. */
export class ReuseRequests {
  readonly removed = new Set<string>();
  readonly #options: ReuseRequestsOptions;
  /** Jobs by their colour. */
  readonly #jobs = new Map<number, string[]>();
  /** The first jobs of the colours; `null` = it was not accepted. */
  readonly #firsts = new Map<number, Promise<string | null>>();
  readonly #completions = new Map<number, Promise<void>>();

  constructor(options: ReuseRequestsOptions) {
    this.#options = options;
  }

  async act(step: ReuseStep): Promise<void> {
    const ofColor = this.#jobs.get(step.color) ?? [];
    this.#jobs.set(step.color, ofColor);
    if (step.do === "reuse") {
      const id = (await this.#isFirst(step))
        ? await this.#firsts.get(step.color)
        : await this.#submitLater(step);
      if (id !== null && id !== undefined) ofColor.push(id);
      return;
    }
    await this.#untilOneCompleted(step.color);
    await sleep(removeAfterMs);
    const id = ofColor[step.which % ofColor.length];
    if (id === undefined || this.removed.has(id)) return;
    const isRemoved =
      step.by === "client" ? await this.#remove(id, step.api) : await this.#options.retire(id);
    if (isRemoved) this.removed.add(id);
  }

  /** Whether this job is the first of its colour that is accepted; it is then submitted already. */
  async #isFirst(step: SubmitStep): Promise<boolean> {
    for (;;) {
      const first = this.#firsts.get(step.color);
      if (first === undefined) break;
      if ((await first) !== null) return false;
      if (this.#firsts.get(step.color) === first) this.#firsts.delete(step.color);
    }
    this.#firsts.set(step.color, this.#options.submit(step));
    return true;
  }

  async #submitLater(step: SubmitStep): Promise<string | null> {
    await this.#untilOneCompleted(step.color);
    return await this.#options.submit(step);
  }

  /** Resolves once a job of the colour has completed, so that others may be answered from it; or after a bounded time. */
  async #untilOneCompleted(color: number): Promise<void> {
    this.#completions.set(color, this.#completions.get(color) ?? this.#waitForOne(color));
    await this.#completions.get(color);
  }

  async #waitForOne(color: number): Promise<void> {
    const deadline = performance.now() + completionMsMax;
    for (let turn = 0; performance.now() < deadline; turn += 1) {
      for (const id of this.#jobs.get(color) ?? []) {
        const { job } = await this.#options.clients[turn % 2 === 0 ? 0 : 1].readJob(id);
        if (job?.status === "completed") return;
      }
      await sleep(100);
    }
  }

  /** Asks until the answer says for certain whether the job is there. A job that has not ended stays. */
  async #remove(id: string, api: number): Promise<boolean> {
    const { clients, onRefusal } = this.#options;
    const path = `jobs/${id}`;
    for (let turn = 0; turn < removesMax; turn += 1) {
      const reply = await clients[(api + turn) % 2 === 0 ? 0 : 1].request("DELETE", path);
      if (reply.httpStatus === 204 || reply.httpStatus === 410) return true;
      if (reply.httpStatus === 409) return false;
      if (reply.httpStatus !== null && reply.httpStatus !== 503) onRefusal(`DELETE ${path}`, reply);
      await sleep(removeAgainMs);
    }
    throw new Error(`No API answered whether ${path} was removed.`);
  }
}
