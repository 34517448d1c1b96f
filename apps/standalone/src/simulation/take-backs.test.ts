import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { LaneScheduler } from "./lane-scheduler.ts";
import { type PromptBehind, type TakenBackPrompt } from "./scheduler.ts";
import { simulate } from "./simulate.ts";
import { farmOptions, simulationOptions, type SimulationOptions } from "./simulation-options.ts";
import { lowerBoundMs, makeWorkload, type Workload } from "./workload.ts";

// What take-backs promise, for random farms whose servers have two slots. In a farm all jobs run equally long, so what is
// known of a lane's runs is exact.

const farms = fc
  .record({
    servers: fc.integer({ min: 2, max: 6 }),
    models: fc.integer({ min: 1, max: 5 }),
    lanesPerModel: fc.integer({ min: 1, max: 2 }),
    kinds: fc.integer({ min: 1, max: 2 }),
    tenants: fc.integer({ min: 1, max: 3 }),
    jobs: fc.integer({ min: 5, max: 150 }),
    arriveMs: fc.constantFrom(0, 30_000, 300_000),
    runMs: fc.constantFrom(300, 1_000, 10_000, 60_000),
    loadMs: fc.constantFrom(500, 5_000, 20_000),
    seed: fc.integer(),
  })
  .map((given) => simulationOptions({ ...given, spread: 0 }));

/** A time in which a server stood empty, or in which a prompt waited behind a running job. */
interface Span {
  server: number;
  fromMs: number;
  toMs: number;
}

interface Wait extends Span {
  job: number;
  runningJob: number;
  /** Runs of the running job's lane had been measured when the wait began. */
  isMeasured: boolean;
  isTakenBack: boolean;
}

interface Empty extends Span {
  model: string | null;
}

/** Writes down when servers stood empty and prompts waited. */
class Recorder extends LaneScheduler {
  readonly waits: Wait[] = [];
  readonly empty: Empty[] = [];
  readonly taken: TakenBackPrompt[] = [];
  readonly #work: Workload;
  readonly #measured = new Set<number>();
  readonly #running = new Map<number, number>();
  readonly #behind = new Map<number, Omit<Wait, "toMs" | "isTakenBack">>();
  readonly #emptySince: Map<number, { fromMs: number; model: string | null }>;

  constructor(work: Workload, options: SimulationOptions) {
    super(work, options);
    this.#work = work;
    const servers = Array.from({ length: work.servers }, (_, server) => server);
    this.#emptySince = new Map(servers.map((server) => [server, { fromMs: 0, model: null }]));
  }

  override take(server: number, now: number): number {
    const job = super.take(server, now);
    if (job !== -1) this.#begin(server, job, now);
    return job;
  }

  override takeBehind(server: number, now: number): number {
    const job = super.takeBehind(server, now);
    const runningJob = this.#running.get(server);
    if (job === -1 || runningJob === undefined) return job;
    const isMeasured = this.#measured.has(this.#work.laneOfJob[runningJob] ?? -1);
    this.#behind.set(server, { job, server, runningJob, isMeasured, fromMs: now });
    return job;
  }

  override takeBack(
    empty: readonly number[][],
    prompts: readonly PromptBehind[],
    now: number,
  ): TakenBackPrompt[] {
    const taken = super.takeBack(empty, prompts, now);
    for (const { job, from, to } of taken) {
      this.#endWait(from, now, true);
      this.#begin(to, job, now);
    }
    this.taken.push(...taken);
    return taken;
  }

  override ended(server: number, job: number, now: number, isEmpty: boolean): void {
    super.ended(server, job, now, isEmpty);
    this.#measured.add(this.#work.laneOfJob[job] ?? -1);
    const next = this.#endWait(server, now, false);
    if (next === null) this.#emptySince.set(server, { fromMs: now, model: modelOf(this.#work, job) });
    else this.#running.set(server, next);
  }

  #begin(server: number, job: number, now: number): void {
    const since = this.#emptySince.get(server);
    if (since !== undefined) this.empty.push({ ...since, server, toMs: now });
    this.#emptySince.delete(server);
    this.#running.set(server, job);
  }

  #endWait(server: number, now: number, isTakenBack: boolean): number | null {
    const wait = this.#behind.get(server);
    this.#behind.delete(server);
    if (wait === undefined) return null;
    this.waits.push({ ...wait, toMs: now, isTakenBack });
    return wait.job;
  }

  /** Also those servers that stay empty until the last job has ended. */
  spansOfEmptyServers(endMs: number): Empty[] {
    const left = [...this.#emptySince].map(([server, since]) => ({ ...since, server, toMs: endMs }));
    return [...this.empty, ...left];
  }
}

function modelOf({ lanes, laneOfJob }: Workload, job: number): string | null {
  return lanes[laneOfJob[job] ?? -1]?.model ?? null;
}

function mayServe(work: Workload, server: number, job: number): boolean {
  return (work.kindOfServer[server] ?? 0) >= (work.lanes[work.laneOfJob[job] ?? -1]?.lowestKind ?? 0);
}

/** Here 57 prompts are taken back; in some random farms none is. */
const takesManyBack = simulationOptions({
  ...{ servers: 5, models: 3, lanesPerModel: 1, kinds: 1, tenants: 2, jobs: 144, arriveMs: 300_000 },
  ...{ runMs: 10_000, loadMs: 500, spread: 0, seed: 1_756_098_808 },
});

test("no server stands empty while a prompt that waits on a busy one would begin there sooner", () => {
  let takenBack = 0;
  fc.assert(
    fc.property(farms, (options) => {
      const work = makeWorkload(options);
      const recorder = new Recorder(work, options);
      const run = simulate(work, recorder, { ...farmOptions(options), keepsOrder: true });
      takenBack += run.takenBack;
      const firstOfModel = firstsAfterLoad(work, run.jobsOfServers);
      for (const wait of recorder.waits) {
        for (const empty of recorder.spansOfEmptyServers(run.makespanMs)) {
          if (!mayServe(work, empty.server, wait.job)) continue;
          const mustLoad = modelOf(work, wait.job) !== empty.model;
          // Nothing is known of how long it will wait, so no server loads a model for it.
          if (mustLoad && !wait.isMeasured) continue;
          // By then the empty server has looked for prompts.
          const lookedMs = Math.max(empty.fromMs, wait.fromMs) + 250;
          if (lookedMs >= Math.min(empty.toMs, wait.toMs)) continue;
          const gainMs = wait.toMs - lookedMs - (mustLoad ? options.loadMs : 0);
          const marginMs = options.runMs < 1_000 ? 5_000 : 2 * options.takeBackMs;
          // A load that goes on is not known, so it may hide that the prompt would gain by another server.
          const hiddenMs = firstOfModel.has(wait.runningJob) ? options.loadMs : 0;
          expect(gainMs).toBeLessThanOrEqual(marginMs + options.takeBackMs + hiddenMs);
        }
      }
    }),
    { numRuns: 200, examples: [[takesManyBack]] },
  );
  expect(takenBack).toBeGreaterThan(20);
}, 180_000);

/** The jobs for which a server loaded a model. */
function firstsAfterLoad(work: Workload, jobsOfServers: number[][]): Set<number> {
  const firsts = jobsOfServers.flatMap((jobs) =>
    jobs.filter((job, index) => modelOf(work, job) !== modelOf(work, jobs[index - 1] ?? -1)),
  );
  return new Set(firsts);
}

test("a prompt is taken back once at most, and begins on the server for which it was, which is eligible for it", () => {
  fc.assert(
    fc.property(farms, (options) => {
      const work = makeWorkload(options);
      const recorder = new Recorder(work, options);
      const run = simulate(work, recorder, { ...farmOptions(options), keepsOrder: true });
      expect(new Set(recorder.taken.map(({ job }) => job)).size).toBe(recorder.taken.length);
      expect(run.takenBack).toBe(recorder.taken.length);
      for (const { job, from, to } of recorder.taken) {
        expect(from).not.toBe(to);
        expect(run.jobsOfServers[to]).toContain(job);
        expect(mayServe(work, to, job)).toBe(true);
      }
      expect(run.jobsOfServers.flat().sort((one, other) => one - other)).toEqual(
        Array.from({ length: work.jobs }, (_, job) => job),
      );
    }),
    { numRuns: 200 },
  );
}, 180_000);

test("take-backs make a batch of jobs take less time, if anything, and never more by over two loads and a run", () => {
  const batches = fc
    .tuple(farms, fc.constantFrom(0, 0.5, 0.9))
    .map(([options, spread]) => ({ ...options, spread, arriveMs: 0 }));
  const ratios = { on: 0, off: 0 };
  fc.assert(
    fc.property(batches, (options) => {
      const work = makeWorkload(options);
      const makespanMs = (takeBacks: "on" | "off"): number => {
        const scheduler = new LaneScheduler(work, options);
        const run = simulate(work, scheduler, farmOptions({ ...options, takeBacks }));
        ratios[takeBacks] += run.makespanMs / lowerBoundMs(work);
        return run.makespanMs;
      };
      const longestRunMs = work.runMs.reduce((longest, own) => Math.max(longest, own), 0);
      // Jobs in another order may end later , so two loads alone are not a bound.
      expect(makespanMs("on")).toBeLessThanOrEqual(makespanMs("off") + 2 * work.loadMs + longestRunMs);
    }),
    // The same farms each time, since the sums are compared.
    { numRuns: 300, seed: 1 },
  );
  expect(ratios.on).toBeLessThan(ratios.off);
}, 180_000);
