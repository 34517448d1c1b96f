import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { type Job, type JobEvent } from "@genga/jobs";
import { buildJob } from "@genga/testing";
import { brokenDependencies } from "./dependency-rules.ts";
import { assertCounted, assertOnward, assertPlaced, rowsOf } from "./history-rules.ts";
import { Writers } from "./history-writers.ts";
import { ends, jobsInPlay, phases, type Write, writes } from "./history-writes.ts";
import { judge } from "./job-model.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// All kinds of writes to jobs run in random order, many at the same time over connections of their own, and a model
// judges each history. `HISTORY_SEEDS=10000 npm test -- packages/database/test/job-history.test.ts` runs ten thousand
// seeds (minutes); `HISTORY_FIRST_SEED=N` begins at that seed. A seed always plans the same writes, but PostgreSQL
// decides in which order statements that run at the same time take effect.

const seeds = Number(process.env["HISTORY_SEEDS"] ?? 40);
const firstSeed = Number(process.env["HISTORY_FIRST_SEED"] ?? 1);
/**
 * How many groups of seeds run side by side. Each has a database of its own, because sweeps change every job that they
 * find.
 */
const lanes = seeds > 1_000 ? 3 : 1;

interface Lane {
  stores: TestStores;
  tenantId: string;
  /** A connection that reads rows directly. */
  observer: pg.Client;
}

const open: Lane[] = [];
beforeAll(async () => {
  for (let lane = 0; lane < lanes; lane += 1) {
    const stores = await openTestStores();
    const observer = new pg.Client({ connectionString: stores.url });
    await observer.connect();
    open.push({ stores, observer, tenantId: (await stores.tenants.defaultTenant()).id });
  }
});
afterAll(async () => {
  for (const { stores, observer } of open) {
    await observer.end();
    await stores.close();
  }
});

/** Which jobs each job of the batch needs, by their places. */
const shapes = {
  "no job needs another": [[], [], []],
  "a chain": [[], [0], [1]],
  "one needs two": [[], [], [0, 1]],
  "two need one": [[], [0], [0]],
} as const;
const anyShape = fc.constantFrom(...(Object.keys(shapes) as (keyof typeof shapes)[]));

/** Starts a seed: its jobs and its writers. */
async function begin(
  lane: Lane,
  expiresInMs: number | null,
  shape: keyof typeof shapes = "no job needs another",
): Promise<{ batchId: string; jobIds: string[]; writers: Writers }> {
  const { stores, tenantId } = lane;
  const [server, empty] = await stores.servers.registerServers([
    { url: `http://${uuidv7()}`, slots: 9 },
    { url: `http://${uuidv7()}`, slots: 1 },
  ]);
  const [owned] = await stores.servers.acquireServers("worker-e", [empty!.id], 1, 600_000);
  await stores.servers.setServerState(owned!, "online", null);
  const batchId = uuidv7();
  const ids = Array.from({ length: jobsInPlay }, () => uuidv7());
  const jobs = await stores.jobRequests.insertJobs({
    ...{ tenantId, batch: { id: batchId, name: null } },
    jobs: ids.map((id, batchIndex) =>
      buildJob({
        ...{ id, attemptsMax: 9, batchIndex },
        dependsOn: (shapes[shape][batchIndex] ?? []).map((place) => ids[place]!),
        ...(batchIndex === 0 && expiresInMs !== null && { expiresAt: new Date(Date.now() + expiresInMs) }),
      }),
    ),
  });
  const jobIds = jobs.map(({ id }) => id);
  return {
    batchId,
    jobIds,
    writers: new Writers(stores, {
      tenantId,
      serverId: server!.id,
      emptyServerId: empty!.id,
      batchId,
      jobIds,
    }),
  };
}

async function judgeAll(
  { stores, tenantId }: Lane,
  { batchId, jobIds, writers }: Awaited<ReturnType<typeof begin>>,
): Promise<Job[]> {
  const jobs = stores.jobReader.of(tenantId);
  const found = await Promise.all(jobIds.map((id) => jobs.findJob(id)));
  const left: Job[] = [];
  for (const [index, job] of found.entries()) {
    const id = jobIds[index]!;
    const [events, attempts, outputs] = await Promise.all([
      jobs.listEvents(id, 0, 1_000),
      jobs.listAttempts(id),
      jobs.listOutputs(id),
    ]);
    if (job === "removed") expect([events, attempts, outputs]).toEqual([[], [], []]);
    else if (job === null) throw new Error(`Job ${id} is unknown.`);
    else {
      judge({ job, events, attempts, outputs, authors: writers.authorsOf(id) });
      left.push(job);
    }
  }
  expect(writers.removals).toBe(jobIds.length - left.length);
  const batch = await jobs.findBatch(batchId);
  const inBatch = left.filter((job) => job.batchId === batchId);
  expect(batch === null).toBe(inBatch.length === 0);
  if (batch === null) return left;
  const counts: Record<string, number> = {};
  for (const { status } of inBatch) counts[status] = (counts[status] ?? 0) + 1;
  expect(batch).toMatchObject({ total: jobsInPlay, counts });
  expect(Object.values(batch.counts).reduce((sum, count) => sum + count, 0)).toBe(inBatch.length);
  return left;
}

/** Runs the property once for each seed, so that each seed can be repeated alone. */
async function forSeeds<Plan>(
  arbitrary: fc.Arbitrary<Plan>,
  run: (lane: Lane, plan: Plan) => Promise<void>,
): Promise<void> {
  let next = firstSeed;
  const results = await Promise.allSettled(
    open.map(async (lane) => {
      while (next < firstSeed + seeds) {
        const seed = next;
        next += 1;
        const property = fc.asyncProperty(arbitrary, (plan) => run(lane, plan));
        try {
          await fc.assert(property, { seed, numRuns: 1, endOnFailure: true });
        } catch (error) {
          next = Infinity; // the other lanes finish their seeds
          throw error;
        }
      }
    }),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

const timeoutMs = 30_000 + seeds * 1_000;

test(
  "the model accepts every history, however the writes interleave",
  async () => {
    const step = fc.oneof(
      fc.array(writes, { minLength: 1, maxLength: 1 }),
      fc.array(writes, { minLength: 2, maxLength: 6 }),
    );
    const plan = fc.record({
      steps: fc.array(step, { minLength: 4, maxLength: 14 }),
      expiresInMs: fc.option(fc.nat(40)),
      shape: anyShape,
    });
    await forSeeds(plan, async (lane, { steps, expiresInMs, shape }) => {
      const play = await begin(lane, expiresInMs, shape);
      let before = await rowsOf(lane.observer, play.batchId);
      for (const writesAtOnce of steps) {
        const [only, ...others] = writesAtOnce;
        // A take-over also changes other jobs, those with expired leases, so it is no single write.
        const isAlone = only !== undefined && others.length === 0 && only.do !== "take over";
        const alone = isAlone ? (play.writers.leaseOf(only) ?? null) : null;
        await Promise.all(writesAtOnce.map((write) => play.writers.run(write)));
        const after = await rowsOf(lane.observer, play.batchId);
        assertOnward(before, after, alone);
        await assertCounted(lane.observer);
        before = after;
      }
      await play.writers.passOnAll();
      expect(await brokenDependencies(lane.observer)).toEqual([]);
      await judgeAll(lane, play);
      await assertPlaced(lane.stores.eventSequencer, lane.observer);
    });
  },
  timeoutMs,
);

test(
  "a cancel that races the end of its job has one outcome, which both callers are told",
  async () => {
    const racers = fc.record({
      cancels: fc.array(fc.constantFrom("cancel", "cancel batch"), { minLength: 1, maxLength: 2 }),
      end: ends.map((end) => ({ ...end, lease: 0 })),
      also: fc.array(fc.constantFrom("renew", "take over", "end again", "release"), { maxLength: 2 }),
      phase: fc.constantFrom(...phases),
      cancelFirst: fc.boolean(),
    });
    await forSeeds(racers, async (lane, { cancels, end, also, phase, cancelFirst }) => {
      const play = await begin(lane, null);
      await play.writers.run({ do: "claim", job: 0 });
      await play.writers.run({ do: "progress", lease: 0, phase, percent: 50 });
      const asked = cancels.map((what): Write =>
        what === "cancel" ? { do: "cancel", job: 0 } : { do: "cancel batch" },
      );
      const others = also.map((what): Write => (what === "end again" ? end : { do: what, lease: 0 }));
      const race = cancelFirst ? [...asked, end, ...others] : [end, ...others, ...asked];
      await Promise.all(race.map((write) => play.writers.run(write)));
      const [job] = await judgeAll(lane, play);
      const events: JobEvent[] = await lane.stores.jobReader
        .of(lane.tenantId)
        .listEvents(play.jobIds[0]!, 0, 100);
      const wasAsked = events.some(({ type }) => type === "cancel_requested");
      if (job?.status === "processing") return; // the take-over came first, so the first holder's writes had no effect
      if (end.as === "requeue" || end.as === "take-back" || end.as === "cancelled")
        expect(job?.status).toBe("cancelled");
      else expect(job).toMatchObject({ status: end.as, cancelTooLate: end.as === "completed" && wasAsked });
    });
  },
  timeoutMs,
);

test(
  "no job that is queued again escapes the pause of its batch, or misses its resumption",
  async () => {
    const again = fc.constantFrom("is queued", "is requeued", "is retried", "is retried with its batch");
    const plan = fc.record({ first: again, second: again, order: fc.nat(5), isResumed: fc.boolean() });
    await forSeeds(plan, async (lane, { first, second, order, isResumed }) => {
      const play = await begin(lane, null);
      const writes: Write[] = [];
      let claims = 0;
      for (const [job, how] of [first, second].entries()) {
        if (how === "is queued") continue;
        await play.writers.run({ do: "claim", job });
        const lease = claims;
        claims += 1;
        if (how === "is requeued") writes.push({ do: "end", lease, as: "requeue" });
        else {
          await play.writers.run({ do: "end", lease, as: "failed" });
          writes.push(how === "is retried" ? { do: "retry", job } : { do: "retry batch" });
        }
      }
      if (isResumed) await play.writers.run({ do: "pause batch" });
      writes.splice(order % (writes.length + 1), 0, { do: isResumed ? "resume batch" : "pause batch" });
      await Promise.all(writes.map((write) => play.writers.run(write)));
      const jobs = await judgeAll(lane, play);
      expect(jobs.map(({ status }) => status)).toEqual(jobs.map(() => "queued"));
      expect(jobs.map(({ pausedAt }) => pausedAt === null)).toEqual(jobs.map(() => isResumed));
    });
  },
  timeoutMs,
);
