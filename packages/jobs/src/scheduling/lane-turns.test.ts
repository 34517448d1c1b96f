import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type LaneFirst, LaneTurns } from "./lane-turns.ts";
import {
  emptyTenantQueue,
  extendQueue,
  unitsOfLane,
  waitingUnits,
  type TenantQueue,
} from "./tenant-queue.ts";
import { rankStep } from "./rank-step.ts";

interface Waiting {
  tenant: string;
  rank: number;
}

/** One server that has the model of all lanes loaded. Each lane hands out its first ticket, as BullMQ does. */
class Farm {
  readonly #lanes = new Map<string, { waiting: Waiting[]; clock: number; runMs: number }>();
  readonly #queues = new Map<string, Map<string, TenantQueue>>();
  readonly #weights: Record<string, number>;
  readonly #runMsOfTenants: Record<string, number>;
  readonly #turns = new LaneTurns();
  readonly #servedAt = new Map<string, number>();
  #taken = 0;

  /** @param runMsOfTenants how long the jobs of some tenants run, if that is not as long as those of their lane usually do */
  constructor(
    runMs: Record<string, number>,
    weights: Record<string, number> = {},
    runMsOfTenants: Record<string, number> = {},
  ) {
    this.#weights = weights;
    this.#runMsOfTenants = runMsOfTenants;
    for (const [lane, ms] of Object.entries(runMs))
      this.#lanes.set(lane, { waiting: [], clock: 0, runMs: ms });
  }

  add(tenant: string, lane: string, count = 1): void {
    for (let job = 0; job < count; job += 1) this.#addOne(tenant, lane);
  }

  /** The tenant of the job that runs next, and how long it runs. */
  take(): { tenant: string; lane: string; runMs: number } | null {
    const firsts = [...this.#lanes].flatMap(([lane, { waiting, clock, runMs }]) => {
      const [first] = waiting;
      return first === undefined
        ? []
        : [{ ...{ lane, group: "all", band: 2 }, rank: first.rank, clock, unitMs: runMs }];
    });
    const ahead = this.#turns.look(firsts);
    const [best] = firsts.sort(
      (one, other) =>
        ahead.get(one.lane)! - ahead.get(other.lane)! ||
        (this.#servedAt.get(one.lane) ?? 0) - (this.#servedAt.get(other.lane) ?? 0),
    );
    if (best === undefined) return null;
    const lane = this.#lanes.get(best.lane)!;
    const { tenant, rank } = lane.waiting.shift()!;
    lane.clock = Math.max(lane.clock, rank);
    this.#servedAt.set(best.lane, ++this.#taken);
    return { tenant, lane: best.lane, runMs: this.#runMsOf(tenant, lane.runMs) };
  }

  /** GPU time by tenant over the next jobs. */
  run(jobs: number): Record<string, number> {
    const gpuMs: Record<string, number> = {};
    for (let job = 0; job < jobs; job += 1) {
      const taken = this.take();
      if (taken !== null) gpuMs[taken.tenant] = (gpuMs[taken.tenant] ?? 0) + taken.runMs;
    }
    return gpuMs;
  }

  #runMsOf(tenant: string, laneRunMs: number): number {
    return this.#runMsOfTenants[tenant] ?? laneRunMs;
  }

  #addOne(tenant: string, name: string): void {
    const lane = this.#lanes.get(name)!;
    const queues = this.#queues.get(tenant) ?? new Map<string, TenantQueue>();
    this.#queues.set(tenant, queues);
    const waiting = [...queues].map(([other, queue]) => {
      const { clock, runMs } = this.#lanes.get(other)!;
      return { units: waitingUnits(queue, clock), unitMs: runMs };
    });
    const step = rankStep({
      ...{ runMs: this.#runMsOf(tenant, lane.runMs), unitMs: lane.runMs },
      weight: this.#weights[tenant] ?? 1,
    });
    const queue = extendQueue(
      queues.get(name) ?? emptyTenantQueue,
      lane.clock,
      unitsOfLane(waiting, lane.runMs),
      { steps: step, span: step },
    );
    queues.set(name, queue);
    lane.waiting.push({ tenant, rank: Math.round(queue.lastRank) });
    lane.waiting.sort((one, other) => one.rank - other.rank);
  }
}

const twenty = Array.from({ length: 20 }, (_, index) => `lane-${index}`);
const alike = (runMs: number, lanes = [...twenty, "own"]) =>
  Object.fromEntries(lanes.map((lane) => [lane, runMs]));

describe("a tenant that floods 20 lanes of one model", () => {
  test.each([
    [
      "one lane after the other",
      (farm: Farm) => {
        twenty.forEach((lane) => {
          farm.add("flood", lane, 50);
        });
      },
    ],
    [
      "job by job",
      (farm: Farm) =>
        Array.from({ length: 50 }, () => {
          twenty.forEach((lane) => {
            farm.add("flood", lane);
          });
        }),
    ],
  ])("%s, gets as much GPU time as a tenant with one lane", (_how, flood) => {
    const farm = new Farm(alike(1_000));
    flood(farm);
    farm.run(40);
    farm.add("other", "own", 100);
    const { flood: ofFlood = 0, other = 0 } = farm.run(100);
    expect(Math.abs(ofFlood - other)).toBeLessThanOrEqual(2_000);
  });

  test("leaves every second turn to a tenant whose jobs stand in one of these lanes", () => {
    const farm = new Farm(alike(1_000, twenty));
    for (let round = 0; round < 50; round += 1)
      twenty.forEach((lane) => {
        farm.add("flood", lane);
      });
    farm.run(40);
    farm.add("other", "lane-7", 100);
    const { flood = 0, other = 0 } = farm.run(100);
    expect(Math.abs(flood - other)).toBeLessThanOrEqual(2_000);
  });

  test("keeps each of its lanes moving", () => {
    const farm = new Farm(alike(1_000));
    for (let round = 0; round < 50; round += 1)
      twenty.forEach((lane) => {
        farm.add("flood", lane);
      });
    farm.add("other", "own", 500);
    const lanes = new Set(Array.from({ length: 45 }, () => farm.take()?.lane));
    expect(lanes.size).toBe(21);
  });
});

test("tenants get GPU time by their weights across lanes, whatever lanes their jobs are in and how long these run", () => {
  const names = ["a", "b", "c", "d", "e"];
  const tenants = fc.array(
    fc.record({
      weight: fc.constantFrom(1, 2, 4),
      lanes: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 5 }),
    }),
    { minLength: 2, maxLength: 4 },
  );
  const runs = fc.record(
    Object.fromEntries(names.map((name) => [name, fc.constantFrom(500, 1_000, 4_000)])),
  ) as fc.Arbitrary<Record<string, number>>;
  fc.assert(
    fc.property(tenants, runs, fc.integer({ min: 0, max: 30 }), (chosen, runMs, before) => {
      const weights = Object.fromEntries(chosen.map(({ weight }, index) => [`tenant-${index}`, weight]));
      const farm = new Farm(runMs, weights);
      // The first tenant has begun before the others come. All have work for the whole time.
      for (const [index, { lanes }] of chosen.entries()) {
        for (let round = 0; round < 120; round += 1)
          lanes.forEach((lane) => {
            farm.add(`tenant-${index}`, lane);
          });
        if (index === 0) farm.run(before);
      }
      const gpuMs = farm.run(80);
      const shares = Object.entries(weights).map(([tenant, weight]) => (gpuMs[tenant] ?? 0) / weight);
      // A job each, and one more for the place in its lane.
      const boundMs = 4 * Math.max(...Object.values(runMs));
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(boundMs);
    }),
    { numRuns: 300 },
  );
});

describe("tenants whose jobs take 1 and 50 seconds in one lane", () => {
  const runMs = { quick: 1_000, slow: 50_000 };

  test.each([1_000, 7_000, 50_000])(
    "get as much GPU time as each other if the lane's unit is %d ms",
    (unitMs) => {
      const farm = new Farm({ shared: unitMs }, {}, runMs);
      farm.add("slow", "shared", 40);
      farm.add("quick", "shared", 2_000);
      const { quick = 0, slow = 0 } = farm.run(1_000);
      expect(Math.abs(quick - slow)).toBeLessThanOrEqual(2 * runMs.slow);
    },
  );

  test("get it by their weights, also if the one of weight 16 has the quick jobs", () => {
    const farm = new Farm({ shared: 50_000 }, { quick: 16, slow: 1 }, runMs);
    farm.add("slow", "shared", 40);
    farm.add("quick", "shared", 8_000);
    const { quick = 0, slow = 0 } = farm.run(4_000);
    expect(Math.abs(quick / 16 - slow)).toBeLessThanOrEqual(2 * runMs.slow);
  });

  test("get it across lanes, too", () => {
    const farm = new Farm({ one: 1_000, two: 50_000 }, {}, runMs);
    for (let round = 0; round < 40; round += 1) farm.add("slow", round % 2 === 0 ? "one" : "two");
    for (let round = 0; round < 2_000; round += 1) farm.add("quick", round % 2 === 0 ? "one" : "two");
    const { quick = 0, slow = 0 } = farm.run(1_000);
    expect(Math.abs(quick - slow)).toBeLessThanOrEqual(3 * runMs.slow);
  });
});

describe("a lane's place among the others", () => {
  const first = { group: "all", band: 2, clock: 0, unitMs: 1_600 };

  test("is as many runs away as it was when these turn out to be longer, and when servers come", () => {
    const turns = new LaneTurns();
    const look = (rank: number, change: object) =>
      turns.look([
        { ...first, lane: "one", rank: 16, ...change },
        { ...first, lane: "two", rank, ...change },
      ]);
    expect(look(48, {}).get("two")).toBe(3_200);
    expect(look(48, { unitMs: 16_000 }).get("two")).toBe(32_000);
    expect(look(64, { unitMs: 16_000 }).get("two")).toBe(48_000);
    expect(look(64, { unitMs: 16_000, group: "more servers" }).get("two")).toBe(48_000);
  });

  test("is next, and not before, for a tenant whose first job comes to a lane that waited for its turn", () => {
    const turns = new LaneTurns();
    const aheadOf = (sparse: number, busy: number) =>
      turns
        .look([
          { ...first, lane: "sparse", rank: sparse },
          { ...first, lane: "busy", rank: busy },
        ])
        .get("sparse");
    expect(aheadOf(16, 16)).toBe(0);
    expect(aheadOf(640, 160)).toBe(48_000);
    // Of the jobs that a new tenant puts before the ticket of rank 640, the lane has had no turns.
    expect(aheadOf(32, 160)).toBe(0);
    expect(aheadOf(48, 160)).toBe(1_600);
  });
});

test("a lane whose runs were measured as no time at all moves on, and leaves the others' turns as they are", () => {
  const turns = new LaneTurns();
  const first = (lane: string, rank: number, unitMs: number): LaneFirst => {
    return { lane, group: "all", band: 2, rank, clock: 0, unitMs };
  };
  turns.look([first("quick", 16, 0), first("slow", 16, 1_000)]);
  turns.look([first("quick", 32, 0), first("slow", 16, 1_000)]);
  const ahead = turns.look([first("quick", 48, 5), first("slow", 1_616, 1_000)]);
  expect(ahead.get("quick")).toBe(0);
  expect(ahead.get("slow")).toBeGreaterThan(1_000);
});

test("a lane keeps its turns while runs of the other lanes are measured, and its own are not yet", () => {
  const turns = new LaneTurns();
  const look = (unitMs: number | null, measured: number, unmeasured: number) => {
    const first = { group: "all", band: 2, clock: 0 };
    const ahead = turns.look([
      { ...first, lane: "measured", rank: measured, unitMs },
      { ...first, lane: "unmeasured", rank: unmeasured, unitMs: null },
    ]);
    return [ahead.get("measured"), ahead.get("unmeasured")];
  };
  expect(look(null, 16, 16)).toEqual([0, 0]);
  expect(look(null, 32, 16)).toEqual([1_000, 0]);
  expect(look(50, 32, 32)).toEqual([0, 0]);
  expect(look(50, 48, 32)).toEqual([50, 0]);
  expect(look(50, 48, 48)).toEqual([0, 0]);
});
