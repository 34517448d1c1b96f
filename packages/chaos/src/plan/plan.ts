import { drawFault, drawFaultNamed, type Fault } from "./fault.ts";
import { checkpointOf, drawJob, type JobSpec, upscaleOf } from "./job-spec.ts";
import { Random } from "./random.ts";
import { drawLabels } from "./server-kits.ts";

/** An action of the suite, this long after the round's start. Jobs have names of the suite's own. */
export type Step = { atMs: number } & (
  | ({ do: "submit"; api: number } & PlannedJob & Replayed)
  | ({ do: "submit-batch"; batch: string; jobs: PlannedJob[]; api: number } & Replayed)
  | { do: "cancel"; job: string; api: number }
  /** Once the job has ended: a retry, which is accepted only for a job that has not completed. */
  | { do: "retry"; job: string; api: number }
  | { do: "cancel-batch"; batch: string; api: number }
  | WaitingStep
  /** Once all jobs of the batch have ended: a retry of those that failed or timed out. */
  | { do: "retry-batch"; batch: string; api: number }
  | { do: "fault"; fault: Fault }
  | ReuseStep
);

/** Jobs of one colour have one graph, so that later ones are answered from earlier ones, while these are removed. */
export type ReuseStep =
  | ({ do: "reuse"; color: number; api: number } & PlannedJob & Replayed)
  /** One of the jobs of the colour, by its number (modulo how many there are), is removed by a client, or by retention. */
  | { do: "remove"; color: number; which: number; by: "client" | "retention"; api: number };

/** A request about what waits: a pause, which ends this long after, or another priority. */
export type WaitingStep =
  | { do: "pause"; job: string; api: number; forMs: number }
  | { do: "pause-batch"; batch: string; api: number; forMs: number }
  | { do: "priority"; job: string; api: number; priority: string }
  | { do: "priority-batch"; batch: string; api: number; priority: string }
  /** The operator pauses one of the lanes in which jobs wait, by its number (modulo how many there are). */
  | { do: "pause-lane"; lane: number; api: number; forMs: number };

export interface PlannedJob {
  job: string;
  spec: JobSpec;
  /** Jobs that must complete first: of the same batch, or of earlier steps. */
  dependsOn: string[];
  /** Labels that its server must have. */
  requires: string[];
}

interface Replayed {
  /** How often the same request, with its key, is sent again after it was accepted. */
  replays: number;
}

/** The plan of one round: plain data, derived from the seed alone. */
export interface RoundPlan {
  seed: number;
  round: number;
  steps: Step[];
}

const reuseSeed = 16;
const priorities = ["urgent", "high", "normal", "low"];

/** So short that jobs wait for servers. */
const submittingMs = 1_500;
const reusesMax = 7;
const activeMs = 4_500;
/** Many jobs still wait so long after they were submitted. */
const waitingMs = 800;

/**
 * The same seed and round give the same plan, whatever other rounds are played.
 * @param onlyFault the name of the only fault of the round
 */
export function planRound(seed: number, round: number, onlyFault?: string): RoundPlan {
  const random = new Random(seed, round);
  const draft = new Draft(random, round);
  draft.addSingleJobs();
  if (random.chance(0.6)) draft.addBatch();
  if (random.chance(0.5)) draft.addUnevenBatch();
  draft.addPausesOfLanes();
  draft.addRequests();
  draft.addFaults(onlyFault);
  // Numbers of its own, so that the rest of a plan does not depend on these steps.
  draft.addReuse(new Random(seed, round, reuseSeed));
  return { seed, round, steps: draft.inOrder() };
}

class Draft {
  readonly #random: Random;
  readonly #round: number;
  readonly #steps: Step[] = [];
  readonly #jobs: { name: string; atMs: number; spec: JobSpec }[] = [];

  constructor(random: Random, round: number) {
    this.#random = random;
    this.#round = round;
  }

  addSingleJobs(): void {
    const random = this.#random;
    for (let left = random.between(6, 11); left > 0; left -= 1) {
      const atMs = random.between(0, submittingMs);
      const replays = drawReplays(random);
      const earlier = this.#jobs.filter((job) => job.atMs < atMs).map(({ name }) => name);
      const job = this.#drawJob(atMs, earlier);
      this.#steps.push({ atMs, do: "submit", ...job, api: random.between(0, 1), replays });
    }
  }

  addBatch(): void {
    const random = this.#random;
    const atMs = random.between(0, submittingMs);
    const jobs: PlannedJob[] = [];
    for (let left = random.between(3, 9); left > 0; left -= 1) {
      const others = jobs.map(({ job }) => job);
      jobs.push(this.#drawJob(atMs, others));
    }
    const batch = `r${this.#round}b0`;
    const [api, replays] = [random.between(0, 1), drawReplays(random)];
    this.#steps.push({ atMs, do: "submit-batch", batch, jobs, api, replays });
    this.#steps.push(...drawBatchRequests(random, batch, atMs));
  }

  /** Some servers fall idle while a prompt waits on another one, behind a long job. */
  addUnevenBatch(): void {
    const random = this.#random;
    const atMs = submittingMs + random.between(0, 500);
    const jobs = random.shuffled(unevenMs).map((ms): PlannedJob => {
      const spec: JobSpec = { kind: "sleep", ms, steps: 5, color: random.between(1, 0xff_ff_ff) };
      return { job: this.#name(atMs, spec), spec, dependsOn: [], requires: [] };
    });
    const [batch, api] = [`r${this.#round}b1`, random.between(0, 1)];
    this.#steps.push({ atMs, do: "submit-batch", batch, jobs, api, replays: 0 });
  }

  addPausesOfLanes(): void {
    const random = this.#random;
    for (let left = random.between(0, 2); left > 0; left -= 1) {
      const atMs = random.between(200, submittingMs);
      const [lane, api] = [random.between(0, 5), random.between(0, 1)];
      this.#steps.push({ atMs, do: "pause-lane", lane, api, forMs: random.between(300, 2_500) });
    }
  }

  /** Pauses, other priorities, cancels and retries of single jobs. */
  addRequests(): void {
    const [random, steps] = [this.#random, this.#steps];
    for (const { name: job, atMs: submittedAtMs } of this.#jobs) {
      const api = random.between(0, 1);
      if (random.chance(0.15)) {
        const atMs = submittedAtMs + random.between(0, waitingMs);
        steps.push({ atMs, do: "pause", job, api, forMs: random.between(200, 2_500) });
      }
      if (random.chance(0.25)) {
        const atMs = submittedAtMs + random.between(0, waitingMs);
        steps.push({ atMs, do: "priority", job, api, priority: random.pick(priorities) });
      }
      if (!random.chance(0.18)) continue;
      const atMs = submittedAtMs + random.between(0, 3_500);
      steps.push({ atMs, do: "cancel", job, api });
      if (random.chance(0.3)) steps.push({ atMs: atMs + 100, do: "retry", job, api });
    }
  }

  addFaults(onlyFault: string | undefined): void {
    const random = this.#random;
    const lastSubmitMs = Math.max(...this.#jobs.map(({ atMs }) => atMs));
    for (let left = onlyFault === undefined ? random.between(2, 4) : 1; left > 0; left -= 1) {
      const fault = onlyFault === undefined ? drawFault(random) : drawFaultNamed(random, onlyFault);
      this.#steps.push({ atMs: momentOf(fault, random, lastSubmitMs), do: "fault", fault });
    }
  }

  addReuse(random: Random): void {
    for (let colors = 2; colors > 0; colors -= 1) {
      const color = random.between(1, 0xff_ff_ff);
      const spec: JobSpec = { kind: "sleep", ms: random.between(50, 300), steps: 3, color };
      for (let index = 0; index < reusesMax; index += 1) {
        const [atMs, api, replays] = [random.between(0, activeMs), random.between(0, 1), drawReplays(random)];
        const job = `r${this.#round}u${colors}-${index}`;
        this.#steps.push({ atMs, do: "reuse", color, job, spec, dependsOn: [], requires: [], api, replays });
        if (!random.chance(0.6)) continue;
        const by = random.pick(["client", "retention"] as const);
        const [which, later] = [random.between(0, reusesMax), random.between(submittingMs, activeMs + 1_000)];
        this.#steps.push({ atMs: later, do: "remove", color, which, by, api });
      }
    }
  }

  inOrder(): Step[] {
    return this.#steps.toSorted((one, other) => one.atMs - other.atMs);
  }

  /** @param others the names of jobs that it may depend on */
  #drawJob(atMs: number, others: readonly string[]): PlannedJob {
    const random = this.#random;
    const dependsOn = drawDependencies(random, others);
    const needed = this.#jobs.find(({ name }) => name === dependsOn[0]);
    const reading = needed !== undefined && random.chance(0.6) ? upscaleOf(needed.name, needed.spec) : null;
    const spec = reading ?? drawJob(random);
    const job = this.#name(atMs, spec);
    return { dependsOn, job, spec, requires: drawLabels(random, checkpointOf(spec)) };
  }

  #name(atMs: number, spec: JobSpec): string {
    const name = `r${this.#round}j${this.#jobs.length}`;
    this.#jobs.push({ name, atMs, spec });
    return name;
  }
}

/** The times of six jobs: one for each slot. */
const unevenMs = [3_500, 300, 300, 1_500, 1_500, 1_500];

function drawDependencies(random: Random, others: readonly string[]): string[] {
  if (others.length === 0 || !random.chance(0.35)) return [];
  return [...new Set(Array.from({ length: random.between(1, 2) }, () => random.pick(others)))];
}

function drawReplays(random: Random): number {
  return random.chance(0.3) ? random.between(1, 2) : 0;
}

function drawBatchRequests(random: Random, batch: string, submittedAtMs: number): Step[] {
  const steps: Step[] = [];
  const api = random.between(0, 1);
  const cancelAtMs = submittedAtMs + random.between(0, 3_500);
  if (random.chance(0.3)) steps.push({ atMs: cancelAtMs, do: "cancel-batch", batch, api });
  if (random.chance(0.3)) {
    const atMs = submittedAtMs + random.between(0, waitingMs);
    steps.push({ atMs, do: "pause-batch", batch, api, forMs: random.between(200, 2_500) });
  }
  if (random.chance(0.3)) {
    const atMs = submittedAtMs + random.between(0, waitingMs);
    steps.push({ atMs, do: "priority-batch", batch, api, priority: random.pick(priorities) });
  }
  if (random.chance(0.4)) steps.push({ atMs: cancelAtMs + 100, do: "retry-batch", batch, api });
  return steps;
}

/**
 * A fault at a point must begin to wait while jobs still reach that point; the last job is submitted at `lastSubmitMs`.
 */
function momentOf(fault: Fault, random: Random, lastSubmitMs: number): number {
  if (fault.kind !== "at-point") return random.between(200, activeMs);
  return random.between(0, fault.point === "accept-committed" ? lastSubmitMs : submittingMs);
}
