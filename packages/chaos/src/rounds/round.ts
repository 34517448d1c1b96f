import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ChaosClient, type Reply } from "../observing/chaos-client.ts";
import { groupBy } from "../history/group-by.ts";
import {
  type BatchObservation,
  type JobHistory,
  type LaneRequest,
  type SubmissionObservation,
} from "../history/history.ts";
import { inflict, type Inflicted, type Ongoing } from "../faults/inflict.ts";
import { bodyOf } from "../plan/job-spec.ts";
import { listJobs } from "../observing/list-jobs.ts";
import { observeOutputs } from "../observing/observe-output.ts";
import { Observer } from "../observing/observer.ts";
import { type PlannedJob, type RoundPlan, type Step } from "../plan/plan.ts";
import { type AcceptedBatch, type AcceptedJob, JobRequests } from "./job-requests.ts";
import { ReuseRequests } from "./reuse-requests.ts";
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
  /** How many jobs were removed. */
  removed: number;
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
  retire: (jobId: string) => Promise<boolean>,
): Promise<RoundResult> {
  const round = new Round(world, plan, retire);
  try {
    await round.act(plan.steps);
    const faults = await round.heal();
    await round.untilAllEnded();
    const jobs = await round.readJobs(known);
    const { refusals, submissions, laneRequests, removed } = round;
    const batches = await round.readBatches(jobs);
    return { jobs, batches, submissions, laneRequests, faults, refusals, removed };
  } finally {
    await round.close();
  }
}

class Round {
  readonly refusals: string[] = [];
  readonly #world: World;
  readonly #submitter: Submitter;
  readonly #planned: ReadonlyMap<string, PlannedJob>;
  readonly #clients: readonly [ChaosClient, ChaosClient];
  readonly #observer: Observer;
  readonly #accepted = new Map<string, AcceptedJob>();
  readonly #batches = new Map<string, AcceptedBatch>();
  readonly #jobRequests: JobRequests;
  readonly #reuseRequests: ReuseRequests;
  readonly #ongoing: Ongoing[] = [];
  readonly #requests: Promise<void>[] = [];

  constructor(world: World, { seed, steps }: RoundPlan, retire: (jobId: string) => Promise<boolean>) {
    this.#world = world;
    this.#planned = new Map(steps.flatMap(jobsOf).map((planned) => [planned.job, planned]));
    this.#clients = [new ChaosClient(world, 0), new ChaosClient(world, 1)];
    this.#observer = new Observer(this.#clients);
    const onRefusal = (path: string, { httpStatus, text }: Reply): void => {
      this.refusals.push(`POST ${path} was answered ${httpStatus ?? "nothing"}: ${text.slice(0, 500)}`);
    };
    this.#submitter = new Submitter(this.#clients, { seed, onRefusal });
    const [accepted, batches, observer] = [this.#accepted, this.#batches, this.#observer];
    this.#jobRequests = new JobRequests({ accepted, batches, observer, clients: this.#clients, onRefusal });
    this.#reuseRequests = new ReuseRequests({
      ...{ clients: this.#clients, retire, onRefusal },
      submit: async (step) => {
        const body = { ...taggedBodyOf(step, (name) => name), reuse: true };
        const reply = await this.#submitter.submit("generate", body, step, step.job);
        return reply === null ? null : acceptedSchema.parse(JSON.parse(reply.text)).id;
      },
    });
  }

  get laneRequests(): LaneRequest[] {
    return this.#jobRequests.ofLanes;
  }

  get removed(): number {
    return this.#reuseRequests.removed.size;
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
    if (step.do === "submit") await this.#submit(step);
    else if (step.do === "submit-batch") await this.#submitBatch(step);
    else if (step.do === "reuse" || step.do === "remove") await this.#reuseRequests.act(step);
    else await this.#jobRequests.ask(step);
  }

  async #submit(step: Extract<Step, { do: "submit" }>): Promise<void> {
    const idOf = (name: string): string | undefined => this.#accepted.get(name)?.id;
    const dependsOn = step.dependsOn.map(idOf);
    // A job that was to depend on one which was not accepted cannot be submitted.
    if (!dependsOn.every((id) => id !== undefined)) return;
    const body = { ...taggedBodyOf(step, (name) => idOf(name) ?? name), dependsOn };
    const reply = await this.#submitter.submit("generate", body, step, step.job);
    if (reply !== null) this.#accept([step], [acceptedSchema.parse(JSON.parse(reply.text)).id]);
  }

  async #submitBatch(step: Extract<Step, { do: "submit-batch" }>): Promise<void> {
    const jobs = step.jobs.map((job) => {
      const { job: key, dependsOn } = job;
      return { ...taggedBodyOf(job, (name) => name), key, dependsOn };
    });
    const reply = await this.#submitter.submit("batches", { jobs }, step, step.batch);
    if (reply === null) return;
    const { id, jobs: accepted } = batchSchema.parse(JSON.parse(reply.text));
    this.#batches.set(step.batch, { id, jobs: step.jobs.map(({ job }) => job) });
    this.#accept(
      step.jobs,
      accepted.map((job) => job.id),
    );
  }

  #accept(jobs: readonly { job: string }[], ids: readonly string[]): void {
    for (const [index, { job }] of jobs.entries()) {
      const id = ids[index];
      if (id === undefined) continue;
      this.#accepted.set(job, { id, name: job, requests: [] });
      this.#observer.add(id, this.#accepted.size % followedEvery === 0);
    }
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
  if (step.do === "submit" || step.do === "reuse") return [step];
  return step.do === "submit-batch" ? step.jobs : [];
}

/** A job's tag is its name in the plan, so that it is known although its 202 was lost. */
function taggedBodyOf({ job, spec, requires }: PlannedJob, sourceOf: (name: string) => string): object {
  return { ...bodyOf(spec, sourceOf), requires, tags: [job] };
}
