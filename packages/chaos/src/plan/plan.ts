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
);

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

const priorities = ["urgent", "high", "normal", "low"];

const submittingMs = 2_500;
const activeMs = 4_500;

/**
 * The same seed and round give the same plan, whatever other rounds are played.
 * @param onlyFault the name of the only fault of the round
 */
export function planRound(seed: number, round: number, onlyFault?: string): RoundPlan {
  const random = new Random(seed, round);
  const steps: Step[] = [];
  const jobs: { name: string; atMs: number; spec: JobSpec }[] = [];
  const draw = (atMs: number, others: readonly string[]): PlannedJob => {
    const dependsOn = drawDependencies(random, others);
    const needed = jobs.find(({ name }) => name === dependsOn[0]);
    const reading = needed !== undefined && random.chance(0.6) ? upscaleOf(needed.name, needed.spec) : null;
    const spec = reading ?? drawJob(random);
    const name = `r${round}j${jobs.length}`;
    jobs.push({ name, atMs, spec });
    return { dependsOn, job: name, spec, requires: drawLabels(random, checkpointOf(spec)) };
  };
  for (let left = random.between(5, 9); left > 0; left -= 1) {
    const atMs = random.between(0, submittingMs);
    const replays = drawReplays(random);
    const earlier = jobs.filter((job) => job.atMs < atMs).map(({ name }) => name);
    steps.push({ atMs, do: "submit", ...draw(atMs, earlier), api: random.between(0, 1), replays });
  }
  if (random.chance(0.6)) {
    const atMs = random.between(0, submittingMs);
    const batch: PlannedJob[] = [];
    for (let left = random.between(2, 6); left > 0; left -= 1) {
      const others = batch.map(({ job }) => job);
      batch.push(draw(atMs, others));
    }
    const name = `r${round}b0`;
    const [api, replays] = [random.between(0, 1), drawReplays(random)];
    steps.push({ atMs, do: "submit-batch", batch: name, jobs: batch, api, replays });
    steps.push(...drawBatchRequests(random, name, atMs));
  }
  if (random.chance(0.6)) {
    const atMs = random.between(200, submittingMs);
    const [lane, api] = [random.between(0, 5), random.between(0, 1)];
    steps.push({ atMs, do: "pause-lane", lane, api, forMs: random.between(300, 2_500) });
  }
  for (const job of jobs) {
    const api = random.between(0, 1);
    if (random.chance(0.15)) {
      const atMs = job.atMs + random.between(0, 1_500);
      steps.push({ atMs, do: "pause", job: job.name, api, forMs: random.between(200, 2_500) });
    }
    if (random.chance(0.15)) {
      const atMs = job.atMs + random.between(0, 1_500);
      steps.push({ atMs, do: "priority", job: job.name, api, priority: random.pick(priorities) });
    }
    if (!random.chance(0.18)) continue;
    const cancelAt = job.atMs + random.between(0, 3_500);
    steps.push({ atMs: cancelAt, do: "cancel", job: job.name, api });
    if (random.chance(0.3)) steps.push({ atMs: cancelAt + 100, do: "retry", job: job.name, api });
  }
  for (let left = onlyFault === undefined ? random.between(2, 4) : 1; left > 0; left -= 1) {
    const fault = onlyFault === undefined ? drawFault(random) : drawFaultNamed(random, onlyFault);
    steps.push({
      atMs: momentOf(fault, random, Math.max(...jobs.map(({ atMs }) => atMs))),
      do: "fault",
      fault,
    });
  }
  steps.sort((one, other) => one.atMs - other.atMs);
  return { seed, round, steps };
}

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
    const atMs = submittedAtMs + random.between(0, 1_500);
    steps.push({ atMs, do: "pause-batch", batch, api, forMs: random.between(200, 2_500) });
  }
  if (random.chance(0.2)) {
    const atMs = submittedAtMs + random.between(0, 1_500);
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
