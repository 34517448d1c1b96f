import { drawFault, type Fault } from "./fault.ts";
import { drawJob, type JobSpec } from "./job-spec.ts";
import { Random } from "./random.ts";

/** Something that the suite does, so long after the round's start. Jobs go by names of the suite's own. */
export type Step = { atMs: number } & (
  | { do: "submit"; job: string; spec: JobSpec; api: number }
  | { do: "submit-batch"; jobs: { job: string; spec: JobSpec }[]; api: number }
  | { do: "cancel"; job: string; api: number }
  /** Once the job has ended: it is asked for again, which only a job that has not completed takes. */
  | { do: "retry"; job: string; api: number }
  | { do: "fault"; fault: Fault }
);

/** What happens in one round: plain data, derived from the seed alone. */
export interface RoundPlan {
  seed: number;
  round: number;
  steps: Step[];
}

const submittingMs = 2_500;
const activeMs = 5_000;

/** The same seed and round give the same plan, whatever other rounds there are. */
export function planRound(seed: number, round: number): RoundPlan {
  const random = new Random(seed, round);
  const steps: Step[] = [];
  const jobs: { name: string; atMs: number }[] = [];
  const nameJob = (atMs: number): string => {
    const name = `r${round}j${jobs.length}`;
    jobs.push({ name, atMs });
    return name;
  };
  const draw = (atMs: number): { job: string; spec: JobSpec } => ({
    job: nameJob(atMs),
    spec: drawJob(random),
  });
  for (let left = random.between(5, 9); left > 0; left -= 1) {
    const atMs = random.between(0, submittingMs);
    steps.push({ atMs, do: "submit", ...draw(atMs), api: random.between(0, 1) });
  }
  if (random.chance(0.6)) {
    const atMs = random.between(0, submittingMs);
    const batch = Array.from({ length: random.between(2, 6) }, () => draw(atMs));
    steps.push({ atMs, do: "submit-batch", jobs: batch, api: random.between(0, 1) });
  }
  for (const job of jobs) {
    const api = random.between(0, 1);
    if (!random.chance(0.18)) continue;
    const cancelAt = job.atMs + random.between(0, 3_500);
    steps.push({ atMs: cancelAt, do: "cancel", job: job.name, api });
    if (random.chance(0.3)) steps.push({ atMs: cancelAt + 100, do: "retry", job: job.name, api });
  }
  for (let left = random.between(2, 4); left > 0; left -= 1) {
    steps.push({ atMs: random.between(200, activeMs), do: "fault", fault: drawFault(random) });
  }
  steps.sort((one, other) => one.atMs - other.atMs);
  return { seed, round, steps };
}
