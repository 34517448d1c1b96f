import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ChaosClient, type Reply } from "../observing/chaos-client.ts";
import { groupBy } from "../history/group-by.ts";
import {
  type BatchObservation,
  type JobHistory,
  type JobRequest,
  type LaneRequest,
  type SubmissionObservation,
} from "../history/history.ts";
import { inflict, type Inflicted, type Ongoing } from "../faults/inflict.ts";
import { bodyOf } from "../plan/job-spec.ts";
import { listJobs } from "../observing/list-jobs.ts";
import { observeOutputs } from "../observing/observe-output.ts";
import { Observer } from "../observing/observer.ts";
import { type PlannedJob, type RoundPlan, type Step, type WaitingStep } from "../plan/plan.ts";
import { type Asking, changePriority, pauseForAWhile, pauseLaneForAWhile } from "./waiting-requests.ts";
import { Submitter } from "./submitter.ts";
import { type World } from "../world/world.ts";

/** The observations of one round, to be judged. */
export interface RoundResult {
  jobs: JobHistory[];
  batches: BatchObservation[];
  submissions: SubmissionObservation[];
  laneRequests: LaneRequest[];
  faults: Inflicted[];
  /** Submissions that were refused although they were valid. */
  refusals: string[];
}

const acceptedSchema = z.object({ id: z.string() });
const batchSchema = z.object({ id: z.string(), jobs: z.array(acceptedSchema) });
const batchCountsSchema = z.object({ total: z.number(), counts: z.record(z.string(), z.number()) });

/** For every third job the event stream is read, too. */
const followedEvery = 3;

/**
 * Plays one round of a plan: submits jobs, causes faults, heals them, waits until all jobs have ended, and collects the
 * observations.
 */
export async function playRound(
  world: World,
  plan: RoundPlan,
  known: ReadonlySet<string>,
): Promise<RoundResult> {
  const round = new Round(world, plan);
  try {
    await round.act(plan.steps);
    const faults = await round.heal();
    await round.untilAllEnded();
    const jobs = await round.readJobs(known);
    const { refusals, submissions, laneRequests } = round;
    return { jobs, batches: await round.readBatches(jobs), submissions, laneRequests, faults, refusals };
  } finally {
    await round.close();
  }
}

interface Accepted {
  id: string;
  name: string;
  requests: JobHistory["requests"];
}

class Round {
  readonly refusals: string[] = [];
  readonly laneRequests: LaneRequest[] = [];
  readonly #world: World;
  readonly #submitter: Submitter;
  readonly #planned: ReadonlyMap<string, PlannedJob>;
  readonly #clients: readonly [ChaosClient, ChaosClient];
  readonly #observer: Observer;
  readonly #accepted = new Map<string, Accepted>();
  /** The ids of batches and the names of their jobs, by the batch's name in the plan. */
  readonly #batches = new Map<string, { id: string; jobs: string[] }>();
  readonly #ongoing: Ongoing[] = [];
  readonly #requests: Promise<void>[] = [];

  constructor(world: World, { seed, steps }: RoundPlan) {
    this.#world = world;
    this.#planned = new Map(steps.flatMap(jobsOf).map((planned) => [planned.job, planned]));
    this.#clients = [new ChaosClient(world, 0), new ChaosClient(world, 1)];
    this.#observer = new Observer(this.#clients);
    this.#submitter = new Submitter(this.#clients, {
      seed,
      onRefusal: (path, reply) => {
        this.#refuse(path, reply);
      },
    });
  }

  get submissions(): SubmissionObservation[] {
    return this.#submitter.observations;
  }

  async act(steps: readonly Step[]): Promise<void> {
    const beganAt = performance.now();
    for (const step of steps) {
      await sleep(Math.max(0, beganAt + step.atMs - performance.now()));
      if (step.do === "fault") this.#ongoing.push(inflict(this.#world, step.fault));
      else this.#requests.push(this.#run(step));
    }
    await Promise.all(this.#requests);
    await this.#untilMostEnded();
  }

  /** Cancels faults that still wait for their moment, and waits until everything works again. */
  async heal(): Promise<Inflicted[]> {
    for (const ongoing of this.#ongoing) ongoing.callOff();
    const faults = await Promise.all(this.#ongoing.map(({ healed }) => healed));
    await Promise.all(this.#world.simulators.map((simulator) => simulator.clearFaults()));
    return faults;
  }

  /** Waits at most a bounded time: a job that has not ended by then is a violation, which the checker reports. */
  async untilAllEnded(): Promise<void> {
    const deadline = performance.now() + endingMsMax;
    const isOver = (): boolean => this.#ids().every((id) => this.#observer.hasEnded(id));
    while (!isOver() && performance.now() < deadline) await sleep(50);
    for (const simulator of this.#world.simulators) {
      while ((await simulator.promptsHeld()) > 0 && performance.now() < deadline) await sleep(100);
    }
  }

  /** @param known ids of jobs of earlier rounds */
  async readJobs(known: ReadonlySet<string>): Promise<JobHistory[]> {
    const [client] = this.#clients;
    const jobs = new Map([...this.#accepted.values()].map((job) => [job.id, job]));
    const names = new Map((await listJobs(client)).map(({ id, tags }) => [id, tags[0] ?? null]));
    const unknown = [...names.keys()].filter((id) => !known.has(id) && !jobs.has(id));
    await this.#untilEnded(unknown);
    const histories: JobHistory[] = [];
    for (const id of [...jobs.keys(), ...unknown]) {
      const { name = names.get(id) ?? null, requests = [] } = jobs.get(id) ?? {};
      const { spec = null, dependsOn: needed = [], requires = [] } = this.#planned.get(name ?? "") ?? {};
      const dependsOn = [...names].flatMap(([each, of]) => (of !== null && needed.includes(of) ? each : []));
      const finalAnswers = [];
      for (const each of this.#clients) {
        await each.insist("GET", `job/${id}`, 200).catch(() => undefined);
        finalAnswers.push(await each.readJob(id));
      }
      histories.push({
        ...{ id, name, spec, dependsOn, requires, requests, finalAnswers },
        answers: this.#observer.answers(id),
        streams: this.#observer.streams(id),
        events: await client.events(id).catch(() => []),
        outputs: await observeOutputs(client, id),
      });
    }
    return histories;
  }

  async readBatches(jobs: readonly JobHistory[]): Promise<BatchObservation[]> {
    const [client] = this.#clients;
    const seen = jobs.flatMap(({ finalAnswers }) => finalAnswers.find(({ job }) => job)?.job ?? []);
    const observations: BatchObservation[] = [];
    for (const [id, ofBatch] of groupBy(seen, ({ batchId }) => batchId)) {
      if (id === null) continue;
      const text = await client.insist("GET", `batches/${id}`, 200);
      const ends: Record<string, number> = {};
      for (const { status } of ofBatch) ends[status] = (ends[status] ?? 0) + 1;
      observations.push({ id, ends, ...batchCountsSchema.parse(JSON.parse(text)) });
    }
    return observations;
  }

  async close(): Promise<void> {
    await this.#observer.stop();
  }

  #ids(): string[] {
    return [...this.#accepted.values()].map(({ id }) => id);
  }

  async #run(step: Exclude<Step, { do: "fault" }>): Promise<void> {
    switch (step.do) {
      case "submit": {
        const idOf = (name: string): string | undefined => this.#accepted.get(name)?.id;
        const dependsOn = step.dependsOn.map(idOf);
        // A job that was to depend on one which was not accepted cannot be submitted.
        if (!dependsOn.every((id) => id !== undefined)) return;
        const body = { ...taggedBodyOf(step, (name) => idOf(name) ?? name), dependsOn };
        const reply = await this.#submitter.submit("generate", body, step, step.job);
        if (reply !== null) this.#accept([step], [acceptedSchema.parse(JSON.parse(reply.text)).id]);
        return;
      }
      case "submit-batch": {
        const body = {
          jobs: step.jobs.map((job) => ({
            ...taggedBodyOf(job, (name) => name),
            key: job.job,
            dependsOn: job.dependsOn,
          })),
        };
        const reply = await this.#submitter.submit("batches", body, step, step.batch);
        if (reply === null) return;
        const { id: batchId, jobs } = batchSchema.parse(JSON.parse(reply.text));
        this.#batches.set(step.batch, { id: batchId, jobs: step.jobs.map(({ job }) => job) });
        this.#accept(
          step.jobs,
          jobs.map(({ id }) => id),
        );
        return;
      }
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
        this.laneRequests.push(...(await pauseLaneForAWhile(step.lane, step.forMs, this.#asking(step.api))));
        return;
      case "cancel-batch":
        await this.#askBatch("cancel-batch", step);
        return;
      case "retry-batch":
        await this.#retryBatchOnceEnded(step);
    }
  }

  #refuse(path: string, { httpStatus, text }: Reply): void {
    this.refusals.push(`POST ${path} was answered ${httpStatus ?? "nothing"}: ${text.slice(0, 500)}`);
  }

  #accept(jobs: readonly { job: string }[], ids: readonly string[]): void {
    for (const [index, { job }] of jobs.entries()) {
      const id = ids[index];
      if (id === undefined) continue;
      this.#accepted.set(job, { id, name: job, requests: [] });
      this.#observer.add(id, this.#accepted.size % followedEvery === 0);
    }
  }

  async #ask(kind: "cancel" | "retry", step: { job: string; api: number }): Promise<void> {
    const job = this.#accepted.get(step.job);
    if (job !== undefined) await this.#request(kind, `jobs/${job.id}/${kind}`, [job], step.api);
  }

  async #askBatch(kind: "cancel-batch" | "retry-batch", step: { batch: string; api: number }): Promise<void> {
    const batch = this.#batches.get(step.batch);
    if (batch === undefined) return;
    const jobs = batch.jobs.flatMap((name) => this.#accepted.get(name) ?? []);
    const path = `batches/${batch.id}/${kind === "cancel-batch" ? "cancel" : "retry"}`;
    await this.#request(kind, path, jobs, step.api);
  }

  async #request(
    kind: JobRequest["kind"],
    path: string,
    jobs: readonly Accepted[],
    api: number,
  ): Promise<void> {
    const request: JobRequest = { kind, at: Date.now(), endedAt: Number.POSITIVE_INFINITY, httpStatus: null };
    for (const job of jobs) job.requests.push(request);
    const reply = await this.#clients[api % 2 === 0 ? 0 : 1].request("POST", path);
    request.httpStatus = reply.httpStatus;
    request.endedAt = reply.endedAt;
    if (kind.startsWith("retry")) for (const job of jobs) this.#observer.askAgain(job.id);
    if (reply.httpStatus !== null && ![202, 409, 503].includes(reply.httpStatus)) {
      this.#refuse(path, reply);
    }
  }

  async #askWaiting(step: Exclude<WaitingStep, { do: "pause-lane" }>): Promise<void> {
    const id = "job" in step ? this.#accepted.get(step.job)?.id : this.#batches.get(step.batch)?.id;
    if (id === undefined) return;
    const path = `${"job" in step ? "jobs" : "batches"}/${id}`;
    const asking = this.#asking(step.api);
    if ("forMs" in step) await pauseForAWhile(path, step.forMs, asking);
    else await changePriority(path, step.priority, asking);
  }

  #asking(api: number): Asking {
    const onRefusal = (path: string, reply: Reply): void => {
      this.#refuse(path, reply);
    };
    return { api, clients: this.#clients, onRefusal };
  }

  /** Retries a job that was just cancelled. A job that completes in spite of the cancel request is left alone. */
  async #retryOnceEnded(step: { job: string; api: number }): Promise<void> {
    const job = this.#accepted.get(step.job);
    if (job === undefined) return;
    for (let tries = 0; tries < 40 && !this.#observer.hasEnded(job.id); tries += 1) await sleep(100);
    const status = this.#observer.latest(job.id)?.status;
    if (this.#observer.hasEnded(job.id) && status !== "completed") await this.#ask("retry", step);
  }

  async #retryBatchOnceEnded(step: { batch: string; api: number }): Promise<void> {
    const ids = this.#batches.get(step.batch)?.jobs.flatMap((name) => this.#accepted.get(name)?.id ?? []);
    if (ids === undefined) return;
    const haveEnded = (): boolean => ids.every((id) => this.#observer.hasEnded(id));
    for (let tries = 0; tries < 40 && !haveEnded(); tries += 1) await sleep(100);
    await this.#askBatch("retry-batch", step);
  }

  /** Gives faults that wait for a point the time until most jobs have ended, within a bound. */
  async #untilMostEnded(): Promise<void> {
    const deadline = performance.now() + pointWaitMsMax;
    while (performance.now() < deadline) {
      const ids = this.#ids();
      const left = ids.filter((id) => !this.#observer.hasEnded(id)).length;
      if (left <= ids.length / 4) return;
      await sleep(50);
    }
  }

  async #untilEnded(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#observer.add(id, false);
    const deadline = performance.now() + endingMsMax;
    while (!ids.every((id) => this.#observer.hasEnded(id)) && performance.now() < deadline) await sleep(50);
  }
}

const pointWaitMsMax = 4_000;
const endingMsMax = 120_000;

function jobsOf(step: Step): readonly PlannedJob[] {
  if (step.do === "submit") return [step];
  return step.do === "submit-batch" ? step.jobs : [];
}

/** A job's tag is its name in the plan, so that it is known although its 202 was lost. */
function taggedBodyOf({ job, spec, requires }: PlannedJob, sourceOf: (name: string) => string): object {
  return { ...bodyOf(spec, sourceOf), requires, tags: [job] };
}
