import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { migrate, openDatabase, type Database } from "@genga/database";
import {
  emptyTenantQueue,
  extendQueue,
  noTenantLimitChoices,
  rankInSpan,
  rankMax,
  rankStep,
  rankWindow,
  spanOf,
  ticketPriority,
  unitsOfLane,
  unitsPerRun,
  waitingUnits,
  type Announcement,
  type Job,
  type JobPriority,
  type TenantQueue,
} from "@genga/jobs";
import { buildJob, buildLane, createTestDatabase, type TestDatabase } from "@genga/testing";

let scratch: TestDatabase;
let database: Database;
let client: pg.Client;
let serverId: string;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
  const [server] = await database.servers.registerServers([{ url: "http://127.0.0.1:8188", slots: 2 }]);
  serverId = server!.id;
});
afterAll(async () => {
  await client.end();
  await database.close();
  await scratch.drop();
});
beforeEach(async () => {
  await client.query(
    "UPDATE jobs SET status = 'cancelled', phase = NULL, finished_at = now() WHERE status = 'queued'",
  );
  await client.query("DELETE FROM tenant_queues; DELETE FROM lane_clocks; DELETE FROM lanes");
});

async function freshTenant(weight: number | null = null): Promise<string> {
  const [tenant] = await database.tenants.ensureTenants([`tenant-${uuidv7()}`]);
  const by = { keyName: "operator", tenantId: null };
  await database.tenantLimits.saveChoices(tenant!.id, { ...noTenantLimitChoices, weight }, by);
  return tenant!.id;
}

const accept = (
  tenantId: string,
  lanes: (string | null)[],
  priority: JobPriority = "normal",
): Promise<Job[]> =>
  database.jobRequests.insertJobs({
    tenantId,
    batch: { id: uuidv7(), name: null },
    jobs: lanes.map((lane) => buildJob({ priority, lane: lane === null ? null : buildLane(lane) })),
  });
const many = (count: number): null[] => Array.from({ length: count }, () => null);
const ranksOf = (jobs: Job[]): number[] => jobs.map(({ rank }) => rank);

async function claim({ id, ticketNumber }: Pick<Job, "id" | "ticketNumber">): Promise<void> {
  const claimed = await database.jobRuns.claimJobs(
    [
      {
        ...{ jobId: id, attempt: 1, ticketNumber, isLimited: false, serverId },
        ...{ workerId: "worker", clientId: "client", promptId: uuidv7() },
      },
    ],
    60_000,
  );
  expect(claimed).toHaveLength(1);
}

describe("a tenant's ranks", () => {
  test("are a sixteenth of a run apart for each unit of its weight", async () => {
    expect(ranksOf(await accept(await freshTenant(), many(3)))).toEqual([16, 32, 48]);
    expect(ranksOf(await accept(await freshTenant(4), many(3)))).toEqual([4, 8, 12]);
    expect(ranksOf(await accept(await freshTenant(0.1), many(2)))).toEqual([160, 320]);
  });

  test("begin at what was claimed in the lane, not in others", async () => {
    const flood = await accept(await freshTenant(), [...many(40), "slow"]);
    await claim(flood[39]!);
    const tenantId = await freshTenant();
    const [first] = await accept(tenantId, [null]);
    expect(first?.rank).toBe(flood[39]!.rank + 16);
    const [other] = await accept(await freshTenant(), ["slow"]);
    expect(other?.rank).toBe(16);
  });

  test("count what the tenant has waiting in all lanes, in their GPU time", async () => {
    const tenantId = await freshTenant();
    await accept(tenantId, ["videos", "images", "images"]);
    await client.query("UPDATE lanes SET run_ms = CASE name WHEN 'videos' THEN 8000 ELSE 2000 END");
    const [job] = await accept(tenantId, [null]);
    // 12 s of GPU time wait elsewhere; a run without measurements counts as 1 s.
    expect(job?.rank).toBe(12 * 16 + 16);
  });

  test("of jobs that come together in several lanes spread over the work of all of them", async () => {
    const tenantId = await freshTenant();
    const jobs = await accept(tenantId, ["one", "two", "one", "two", "one", "three"]);
    const ofLane = (lane: string) => ranksOf(jobs.filter((job) => job.lane === lane));
    expect(ofLane("one")).toEqual([16, 48, 80]);
    expect(ofLane("two")).toEqual([32, 64]);
    expect(ofLane("three")).toEqual([96]);
    expect(ranksOf(await accept(tenantId, ["four", "one"]))).toEqual([96 + 16, 96 + 32]);
  });

  test("are those of the pure functions, whatever is accepted and claimed", async () => {
    const lanes = ["a", "b", "c"];
    const runMs: Record<string, number> = { a: 500, b: 2_000, c: 7_000 };
    await accept(await freshTenant(), lanes);
    await client.query(
      "UPDATE lanes SET run_ms = CASE name WHEN 'a' THEN 500 WHEN 'b' THEN 2000 ELSE 7000 END",
    );
    await client.query("DELETE FROM tenant_queues; DELETE FROM lane_clocks");
    const weights = [1, 2, 0.5];
    const tenants = await Promise.all(weights.map((weight) => freshTenant(weight)));
    // The first tenant's jobs run as those of each lane usually do, as far as is known.
    const runsOfTenants: Record<string, number>[] = [{}, { a: 25_000, b: 90 }, { b: 41_000, c: 130 }];
    for (const [tenant, runs] of runsOfTenants.entries())
      for (const [lane, ms] of Object.entries(runs))
        await client.query("INSERT INTO tenant_runs VALUES ($1, $2, $3, 1)", [lane, tenants[tenant], ms]);
    const clocks = new Map<string, number>();
    const queues = new Map<string, TenantQueue>();
    const waiting: Job[] = [];
    let state = 7;
    const pick = (count: number): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state % count;
    };
    for (let round = 0; round < 150; round += 1) {
      if (waiting.length > 0 && pick(3) === 0) {
        const [job] = waiting.splice(pick(waiting.length), 1);
        await claim(job!);
        clocks.set(job!.lane, Math.max(clocks.get(job!.lane) ?? 0, job!.rank));
        continue;
      }
      const [tenant, lane, count] = [pick(tenants.length), lanes[pick(lanes.length)]!, 1 + pick(9)];
      const waitingWork = lanes.map((each) => {
        const queue = queues.get(`${tenant} ${each}`) ?? emptyTenantQueue;
        return { units: waitingUnits(queue, clocks.get(each) ?? 0), unitMs: runMs[each] ?? 0 };
      });
      // Some jobs of another lane come in the same batch.
      const counts = new Map([[lane, count]]);
      if (pick(2) === 0) counts.set(lanes[pick(lanes.length)]!, 1 + pick(9));
      const stepIn = (each: string): number => {
        const unitMs = runMs[each]!;
        return rankStep({ runMs: runsOfTenants[tenant]![each] ?? unitMs, unitMs, weight: weights[tenant]! });
      };
      const work = [...counts].map(([each, jobs]) => ({ units: jobs * stepIn(each), unitMs: runMs[each]! }));
      const expected: number[] = [];
      let workMs = 0;
      for (const [each, jobs] of counts) {
        const step = stepIn(each);
        const span = spanOf(jobs * step, work, runMs[each]!);
        const queue = extendQueue(
          queues.get(`${tenant} ${each}`) ?? emptyTenantQueue,
          clocks.get(each) ?? 0,
          unitsOfLane(waitingWork, runMs[each]!),
          { steps: jobs * step, span },
        );
        queues.set(`${tenant} ${each}`, queue);
        for (let job = 0; job < jobs; job += 1) {
          workMs += (step * runMs[each]!) / unitsPerRun;
          expected.push(rankInSpan(queue.lastRank, span, workMs, runMs[each]!));
        }
      }
      const batch = [...counts].flatMap(([each, jobs]) => Array.from({ length: jobs }, () => each));
      const jobs = await accept(tenants[tenant]!, batch);
      expect(ranksOf(jobs)).toEqual(expected);
      waiting.push(...jobs);
    }
  }, 180_000);

  test("count how long its jobs run in the lane, so tenants with jobs of 1 and 50 seconds get as much GPU time", async () => {
    const runMs = { quick: 1_000, slow: 50_000 };
    const [quick, slow] = [await freshTenant(), await freshTenant()];
    await accept(quick, ["shared"]);
    await database.laneServing.addMeasures([
      { ...{ lane: "shared", tenantId: quick, runs: 30, runMs: runMs.quick }, loads: 0, loadMs: 0 },
      { ...{ lane: "shared", tenantId: slow, runs: 2, runMs: runMs.slow }, loads: 0, loadMs: 0 },
    ]);
    const jobs = [
      ...(await accept(
        slow,
        Array.from({ length: 20 }, () => "shared"),
      )),
      ...(await accept(
        quick,
        Array.from({ length: 900 }, () => "shared"),
      )),
    ];
    const gpuMs = { quick: 0, slow: 0 };
    for (const job of jobs.toSorted((one, other) => one.rank - other.rank).slice(0, 600)) {
      const tenant = job.tenantId === quick ? "quick" : "slow";
      gpuMs[tenant] += runMs[tenant];
    }
    expect(gpuMs.quick).toBeGreaterThan(500_000);
    expect(Math.abs(gpuMs.quick - gpuMs.slow)).toBeLessThanOrEqual(2 * runMs.slow);
  });

  test("are in a unit that stays when later measurements differ, until the lane is idle", async () => {
    const tenantId = await freshTenant();
    const measure = (runs: number, runMs: number) =>
      database.laneServing.addMeasures([
        { ...{ lane: "growing", tenantId, runs, runMs }, loads: 0, loadMs: 0 },
      ]);
    const waiting = await accept(tenantId, ["growing"]);
    await measure(1, 2_000);
    await measure(500, 480_000);
    waiting.push(...(await accept(tenantId, ["growing", "growing"])));
    expect(ranksOf(waiting)).toEqual([16, 16 + 3_840, 16 + 2 * 3_840]);
    await database.jobAnnouncer.forgetIdleRanks();
    const units = async () =>
      (await client.query<{ unit_ms: number }>("SELECT unit_ms FROM lane_clocks WHERE lane = 'growing'"))
        .rows;
    expect(await units()).toEqual([{ unit_ms: 2_000 }]);
    await database.jobRequests.cancelBatch(waiting[0]!.batchId!);
    await database.jobRequests.cancelBatch(waiting[1]!.batchId!);
    await database.jobAnnouncer.forgetIdleRanks();
    expect(ranksOf(await accept(tenantId, ["growing"]))).toEqual([16]);
    const [renewed] = await units();
    expect(renewed?.unit_ms).toBeCloseTo(480_000, -1);
  });

  test("leave room for jobs that run longer than all ranks of a ticket can show", async () => {
    const [films, images] = [await freshTenant(0.1), await freshTenant()];
    await accept(images, ["mixed"]);
    await database.laneServing.addMeasures([
      { ...{ lane: "mixed", tenantId: images, runs: 1, runMs: 1_000 }, loads: 0, loadMs: 0 },
      { ...{ lane: "mixed", tenantId: films, runs: 1, runMs: 1e6 }, loads: 0, loadMs: 0 },
    ]);
    await client.query("UPDATE lane_clocks SET unit_ms = 1000 WHERE lane = 'mixed'");
    const [first, ...further] = await accept(
      films,
      Array.from({ length: 20_000 }, () => "mixed"),
    );
    expect(first?.rank).toBe(160_000);
    expect(Math.max(...ranksOf(further))).toBe(rankMax);
    expect(await accept(films, ["mixed"])).toMatchObject([{ rank: rankMax }]);
  });

  test("begin anew in a lane and a band in which nothing waits", async () => {
    const busy = await freshTenant();
    const [running] = await accept(busy, [null]);
    await claim(running!);
    const cancelled = await accept(busy, many(9));
    await database.jobRequests.cancelBatch(cancelled[0]!.batchId!);
    await database.jobAnnouncer.forgetIdleRanks();
    const [mine] = await accept(busy, [null]);
    const [theirs] = await accept(await freshTenant(), [null]);
    expect(mine?.rank).toBe(theirs?.rank);
  });

  test("go on where they are while a job runs, since it may have to wait again", async () => {
    const [running] = await accept(await freshTenant(), [null]);
    await client.query("UPDATE jobs SET rank = 40000 WHERE id = $1", [running!.id]);
    await client.query("UPDATE lane_clocks SET claimed_rank = 40000 WHERE lane = $1", [running!.lane]);
    await claim(running!);
    await database.jobAnnouncer.forgetIdleRanks();
    const [later] = await accept(await freshTenant(), [null]);
    expect(later!.rank).toBeGreaterThan(40_000);
  });
});

describe("the base of a lane and a band", () => {
  const half = rankWindow / 2;
  const announced = async (): Promise<Announcement[]> => {
    const tickets = await database.jobAnnouncer.listUnannounced(10_000);
    await database.jobAnnouncer.markEnqueued(tickets);
    return tickets;
  };
  /** The priorities in Redis, as it would have them. */
  const prioritiesOf = (tickets: Announcement[]): Map<string, number> =>
    new Map(
      tickets.map(({ jobId, priority, rank, agedBands }) => [
        jobId,
        ticketPriority(priority, rank, agedBands),
      ]),
    );
  const passAll = async (priorities: Map<string, number>, limit: number): Promise<number> => {
    let pages = 0;
    for (let page = await database.jobAnnouncer.nextRepricing(limit); page !== null; pages += 1) {
      for (const [id, priority] of prioritiesOf(page.announcements)) priorities.set(id, priority);
      await database.jobAnnouncer.noteRepriced(page);
      page = await database.jobAnnouncer.nextRepricing(limit);
    }
    return pages;
  };

  test("moves by half windows, and tickets keep their order with those that come afterwards", async () => {
    const slow = await freshTenant(0.1);
    const flood = await accept(slow, many(1_000));
    const priorities = prioritiesOf(await announced());
    expect(new Set(priorities.values()).size).toBe(Math.ceil(rankWindow / 160));
    for (const job of flood.slice(0, 300)) priorities.delete(job.id);
    await claim(flood[299]!);
    await client.query(
      "UPDATE jobs SET status = 'cancelled', phase = NULL, finished_at = now() WHERE id = ANY($1)",
      [flood.slice(0, 299).map(({ id }) => id)],
    );
    await database.jobAnnouncer.moveBases();
    const { rows } = await client.query("SELECT claimed_rank, base FROM lane_clocks WHERE lane = 'default'");
    expect(rows).toEqual([{ claimed_rank: 48_000, base: half }]);
    // A process that dies after a page leaves the others to the next one.
    const page = await database.jobAnnouncer.nextRepricing(50);
    expect(await database.jobAnnouncer.nextRepricing(50)).toEqual(page);
    expect(await passAll(priorities, 50)).toBeGreaterThan(5);

    const [late] = await accept(await freshTenant(), [null]);
    // Another base is read after a second at most; the sweeper's process has it at once.
    const other = openDatabase({ databaseUrl: scratch.url });
    const [ticket] = (await other.jobAnnouncer.listUnannounced(10)).filter(({ jobId }) => jobId === late!.id);
    await other.close();
    const ahead = [...priorities.values()].filter(
      (priority) => priority <= ticketPriority("normal", ticket?.rank ?? NaN),
    );
    expect(ahead).toHaveLength(0);
    const rank = (id: string): number => flood.find((job) => job.id === id)!.rank;
    const inWindow = [...priorities].filter(([id]) => rank(id) - half < rankWindow);
    const byRank = [...inWindow]
      .sort(([one], [two]) => rank(one) - rank(two))
      .map(([, priority]) => priority);
    expect(byRank).toEqual([...new Set(byRank)].sort((one, two) => one - two));
    expect(byRank.length).toBe(314);
  }, 180_000);

  test("is passed over twice, for tickets that were added by the old base meanwhile", async () => {
    const flood = await accept(await freshTenant(0.1), many(260));
    await announced();
    await claim(flood[250]!);
    await database.jobAnnouncer.moveBases();
    const first = await database.jobAnnouncer.nextRepricing(10_000);
    expect(first?.upTo).toBeNull();
    await database.jobAnnouncer.noteRepriced(first!);
    expect(await database.jobAnnouncer.nextRepricing(10_000)).toBeNull();
    await client.query("UPDATE lane_clocks SET repricing_at = now() WHERE repricing_at IS NOT NULL");
    const second = await database.jobAnnouncer.nextRepricing(10_000);
    expect(second).toEqual(first);
    await database.jobAnnouncer.noteRepriced(second!);
    await client.query("UPDATE lane_clocks SET repricing_at = now() WHERE repricing_at IS NOT NULL");
    expect(await database.jobAnnouncer.nextRepricing(10_000)).toBeNull();
  });

  test("keeps up with jobs of which a ticket's priority can show nine, so that tenants still take turns", async () => {
    const [one, other] = [await freshTenant(), await freshTenant()];
    const jobs = new Map((await accept(one, ["clips"])).map((job) => [job.id, job]));
    const measure = (runs: number, runMs: number) =>
      database.laneServing.addMeasures([
        { ...{ lane: "clips", tenantId: one, runs, runMs }, loads: 0, loadMs: 0 },
      ]);
    await measure(1, 1_000);
    await measure(500, 480_000);
    for (const tenantId of [one, other])
      for (const job of await accept(
        tenantId,
        Array.from({ length: 40 }, () => "clips"),
      ))
        jobs.set(job.id, job);
    const priorities = prioritiesOf((await announced()).filter(({ jobId }) => jobs.has(jobId)));
    const taken: string[] = [];
    while (taken.length < 60) {
      const [id] = [...priorities].reduce((first, next) => (next[1] < first[1] ? next : first));
      await claim(jobs.get(id)!);
      priorities.delete(id);
      taken.push(jobs.get(id)!.tenantId);
      await database.jobAnnouncer.moveBases();
      await client.query("UPDATE lane_clocks SET repricing_at = now() WHERE repricing_at IS NOT NULL");
      await passAll(priorities, 50);
    }
    for (let count = 1; count <= taken.length; count += 1) {
      const ofOne = taken.slice(0, count).filter((tenantId) => tenantId === one).length;
      expect(Math.abs(2 * ofOne - count)).toBeLessThanOrEqual(3);
    }
  }, 180_000);

  test("falls to 0 with all ranks before these leave the range of their column", async () => {
    const tenantId = await freshTenant();
    const flood = await accept(tenantId, many(5));
    await client.query("UPDATE jobs SET rank = rank + 2000000000 WHERE status = 'queued'");
    await client.query(
      "UPDATE tenant_queues SET last_rank = last_rank + 2000000000, begun_rank = 2000000000",
    );
    await client.query("UPDATE lane_clocks SET claimed_rank = 2000000000");
    await claim(flood[0]!);
    await database.jobAnnouncer.moveBases();
    const { rows } = await client.query("SELECT rank FROM jobs WHERE status = 'queued' ORDER BY rank");
    const ranks = rows.map(({ rank }: { rank: number }) => rank);
    expect(Math.max(...ranks)).toBeLessThan(rankWindow);
    expect(ranks.map((rank) => rank - ranks[0]!)).toEqual([0, 16, 32, 48]);
    const [next] = await accept(tenantId, [null]);
    expect(next?.rank).toBe(ranks[3]! + 16);
    const [other] = await accept(await freshTenant(), [null]);
    expect(other?.rank).toBe(ranks[0]);
  });
});
