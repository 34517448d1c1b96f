import { rendersPerJob, repeatedRenders } from "../checking/check-executions.ts";
import { causeOfOrphan } from "../checking/check-files.ts";
import { nameOfFault, type Fault, type JobPoint } from "../plan/fault.ts";
import { groupBy } from "../history/group-by.ts";
import { type History } from "../history/history.ts";
import { type Inflicted } from "../faults/inflict.ts";
import { countExercises, type Exercise } from "./exercises.ts";
import { recoveryOf } from "./recovery.ts";

interface FaultFigures {
  planned: number;
  happened: number;
  /** The times from the heal until each job that had been executing was written to again, in milliseconds. */
  recoveriesMs: number[];
  /** The times from the heal until the first waiting job was claimed. */
  pickUpsMs: number[];
  repeats: number;
}

/** The figures of one seed's rounds. */
interface SeedFigures {
  rounds: number;
  jobs: number;
  ends: Map<string, number>;
  rendersPerJob: Map<number, number>;
  repeatsByCause: Map<string, number>;
  orphansByCause: Map<string, number>;
  faults: Map<string, FaultFigures>;
  exercises: Map<Exercise, number>;
  unseenPoints: JobPoint[];
  partialFiles: number;
}

/** The state of one seed so far. */
export interface SeedSoFar {
  history: History;
  /** The faults of all its rounds. */
  faults: readonly Inflicted[];
  rounds: number;
  unseenPoints: JobPoint[];
  /** How many half-written files were left. */
  partialFiles: number;
}

/** The figures so far: of finished seeds, and of those that are being played. */
export class Figures {
  readonly #seeds = new Map<number, SeedFigures>();

  /** Replaces the figures of the seed. */
  set(seed: number, soFar: SeedSoFar): void {
    this.#seeds.set(seed, figuresOf(soFar));
  }

  get rounds(): number {
    return this.#sum((seed) => seed.rounds);
  }

  get jobs(): number {
    return this.#sum((seed) => seed.jobs);
  }

  /** Points that no seed has reached. Their signs are probably out of date, so faults wait for them in vain. */
  get unseenPoints(): JobPoint[] {
    const [first, ...others] = [...this.#seeds.values()].map(({ unseenPoints }) => unseenPoints);
    return (first ?? []).filter((point) => others.every((unseen) => unseen.includes(point)));
  }

  /** What did not happen in a run that was long enough for all of it: the run proves nothing about these. */
  get missedExercises(): Exercise[] {
    if (this.rounds < exercisedRounds) return [];
    return [...this.#exercises()].flatMap(([exercise, count]) => (count === 0 ? [exercise] : []));
  }

  /** As plain data. Times are in milliseconds. */
  toJSON(): object {
    const points = Object.fromEntries(this.#faultsByPoint());
    const faults = [...this.#faults()].map(
      ([name, { planned, happened, recoveriesMs, pickUpsMs, repeats }]) => ({
        ...{ name, planned, happened, repeats },
        recovery: summaryOf(recoveriesMs),
        pickUp: summaryOf(pickUpsMs),
      }),
    );
    return {
      ...{ rounds: this.rounds, seeds: [...this.#seeds.keys()], jobs: this.jobs },
      ends: Object.fromEntries(this.#counts((seed) => seed.ends)),
      rendersPerJob: Object.fromEntries(this.#counts((seed) => seed.rendersPerJob)),
      repeatsByCause: Object.fromEntries(this.#counts((seed) => seed.repeatsByCause)),
      orphansByCause: Object.fromEntries(this.#counts((seed) => seed.orphansByCause)),
      partialFiles: this.#sum((seed) => seed.partialFiles),
      exercises: Object.fromEntries(this.#exercises()),
      unseenPoints: this.unseenPoints,
      points,
      faults,
    };
  }

  /** Tables for people. */
  toString(): string {
    const byPoint = [...this.#faultsByPoint()].map(
      ([point, { planned, happened }]) => `${point} ${happened}/${planned}`,
    );
    return [
      `${this.rounds} rounds of ${this.#seeds.size} seeds, ${this.jobs} jobs (${listed(this.#counts(({ ends }) => ends))})`,
      `renders per job: ${listed(this.#counts((seed) => seed.rendersPerJob))}`,
      `repeated renders by cause: ${listed(this.#counts((seed) => seed.repeatsByCause)) || "none"}`,
      `files that no output names: ${listed(this.#counts((seed) => seed.orphansByCause)) || "none"}; half-written: ${this.#sum((seed) => seed.partialFiles)}`,
      `scheduling: ${listed(this.#exercises())}`,
      `faults at points, happened/planned: ${byPoint.join(", ")}`,
      ...(this.unseenPoints.length === 0 ? [] : [`never seen: ${this.unseenPoints.join(", ")}`]),
      "recovery: from the heal until every job that had been executing showed a sign of life again; pick-up: until a",
      "job that waited was claimed; both only where no other fault was active since the heal.",
      ...columns([header, ...[...this.#faults()].map(rowOf)]),
    ].join("\n");
  }

  #faults(): Map<string, FaultFigures> {
    const merged = new Map<string, FaultFigures>();
    for (const { faults } of this.#seeds.values()) {
      for (const [name, figures] of faults) merged.set(name, merge(merged.get(name), figures));
    }
    return new Map([...merged].sort(([one], [other]) => one.localeCompare(other, "en")));
  }

  #faultsByPoint(): Map<string, { planned: number; happened: number }> {
    const counts = new Map<string, { planned: number; happened: number }>();
    for (const [name, { planned, happened }] of this.#faults()) {
      const [, point] = name.split(" at ");
      if (point === undefined) continue;
      const before = counts.get(point) ?? { planned: 0, happened: 0 };
      counts.set(point, { planned: before.planned + planned, happened: before.happened + happened });
    }
    return counts;
  }

  #exercises(): Map<Exercise, number> {
    return this.#counts(({ exercises }) => exercises);
  }

  #sum(numberOf: (seed: SeedFigures) => number): number {
    return [...this.#seeds.values()].reduce((sum, seed) => sum + numberOf(seed), 0);
  }

  #counts<Key>(countsOf: (seed: SeedFigures) => ReadonlyMap<Key, number>): Map<Key, number> {
    const counts = new Map<Key, number>();
    for (const seed of this.#seeds.values()) {
      for (const [key, count] of countsOf(seed)) increase(counts, key, count);
    }
    return new Map(
      [...counts].sort(([one], [other]) => String(one).localeCompare(String(other), "en", { numeric: true })),
    );
  }
}

function figuresOf({ history, faults, rounds, unseenPoints, partialFiles }: SeedSoFar): SeedFigures {
  const figures = new Map<string, FaultFigures>();
  const of = (fault: Fault): FaultFigures => {
    const name = nameOfFault(fault);
    const known = figures.get(name) ?? {
      planned: 0,
      happened: 0,
      recoveriesMs: [],
      pickUpsMs: [],
      repeats: 0,
    };
    figures.set(name, known);
    return known;
  };
  const writesOf = groupBy(history.writes, ({ jobId }) => jobId);
  for (const inflicted of faults) {
    const known = of(inflicted.fault);
    known.planned += 1;
    if (inflicted.beganAt === null) continue;
    known.happened += 1;
    const { recoveryMs, pickUpMs } = recoveryOf(inflicted, faults, writesOf);
    if (recoveryMs !== null) known.recoveriesMs.push(recoveryMs);
    if (pickUpMs !== null) known.pickUpsMs.push(pickUpMs);
  }
  const repeats = repeatedRenders(history);
  for (const { at, cause } of repeats) {
    if (cause === ownFailure) continue;
    const latest = faults
      .filter(({ beganAt }) => beganAt !== null && beganAt <= at)
      .sort((one, other) => (one.beganAt ?? 0) - (other.beganAt ?? 0))
      .at(-1);
    if (latest !== undefined) of(latest.fault).repeats += 1;
  }
  return {
    ...{ rounds, unseenPoints, partialFiles, faults: figures, jobs: history.jobs.length },
    exercises: countExercises(history),
    ends: countBy(
      history.jobs,
      ({ finalAnswers }) => finalAnswers.find(({ job }) => job)?.job?.status ?? "unknown",
    ),
    rendersPerJob: rendersPerJob(history),
    repeatsByCause: countBy(repeats, ({ cause }) => cause),
    orphansByCause: countBy(history.orphans, (orphan) => causeOfOrphan(orphan, history)),
  };
}

/** A run of this many rounds has time for everything that plans contain. */
const exercisedRounds = 20;

/** A job of the plan that fails by itself and asked for a second attempt; no fault caused it. */
const ownFailure = "execution-failed";

function merge(one: FaultFigures | undefined, other: FaultFigures): FaultFigures {
  if (one === undefined) return other;
  return {
    planned: one.planned + other.planned,
    happened: one.happened + other.happened,
    recoveriesMs: [...one.recoveriesMs, ...other.recoveriesMs],
    pickUpsMs: [...one.pickUpsMs, ...other.pickUpsMs],
    repeats: one.repeats + other.repeats,
  };
}

const header = [
  "fault",
  "planned",
  "happened",
  "measured",
  "p50",
  "max",
  "pick-ups",
  "p50",
  "max",
  "repeats",
];

function rowOf([name, { planned, happened, recoveriesMs, pickUpsMs, repeats }]: [
  string,
  FaultFigures,
]): string[] {
  const timesOf = (values: readonly number[]): string[] => {
    const { count, p50, max } = summaryOf(values);
    return [String(count), shownMs(p50), shownMs(max)];
  };
  return [
    name,
    String(planned),
    String(happened),
    ...timesOf(recoveriesMs),
    ...timesOf(pickUpsMs),
    String(repeats),
  ];
}

function summaryOf(values: readonly number[]): { count: number; p50: number | null; max: number | null } {
  return { count: values.length, p50: percentile(values, 0.5), max: percentile(values, 1) };
}

function countBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const item of items) increase(counts, keyOf(item), 1);
  return counts;
}

function increase<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function listed(counts: ReadonlyMap<string | number, number>): string {
  return [...counts].map(([key, count]) => `${key}: ${count}`).join(", ");
}

function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

function shownMs(ms: number | null): string {
  return ms === null ? "-" : (ms / 1_000).toFixed(2);
}

function columns(rows: readonly string[][]): string[] {
  const widths = rows[0]?.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join("  "),
  );
}
