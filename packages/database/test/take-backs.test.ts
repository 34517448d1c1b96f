import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { takenBackCode, type AttemptEnd, type JobLease, type LeasedJob } from "@genga/jobs";
import { buildFailure, buildJob, buildProgress } from "@genga/testing";
import { migrate, openDatabase, type Database } from "@genga/database";
import { createTestDatabase, type TestDatabase } from "@genga/testing";

let scratch: TestDatabase;
let database: Database;
let client: pg.Client;
let tenantId: string;
let emptyId: string;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
  await client.query("INSERT INTO lanes (name, needs, run_ms, runs) VALUES ('measured', '{}', 60000, 1)");
  tenantId = (await database.tenants.defaultTenant()).id;
  emptyId = await freshServer();
  const [lease] = await database.servers.acquireServers("worker-e", [emptyId], 1, 600_000);
  await database.servers.setServerState(lease!, "online", null);
});
afterAll(async () => {
  await database.close();
  await client.end();
  await scratch.drop();
});

async function freshServer(): Promise<string> {
  const [server] = await database.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 2 }]);
  return server!.id;
}

async function claim(jobId: string, serverId: string, attempt = 1): Promise<LeasedJob> {
  const by = { workerId: "worker-a", clientId: "client-a", promptId: uuidv7() };
  const [leased] = await database.jobRuns.claimJobs(
    [{ jobId, attempt, ticketNumber: 0, serverId, ...by }],
    600_000,
  );
  if (leased === undefined) throw new Error("The job was not claimed.");
  return leased;
}

interface Played {
  serverId: string;
  /** Executes on the server. */
  first: LeasedJob;
  /** Waits behind it. */
  waiting: LeasedJob;
}

/** A busy server with a job that executes, and one that waits. */
async function play(owner = tenantId, batch: string | null = null): Promise<Played> {
  const serverId = await freshServer();
  const [one, other] = await database.jobRequests.insertJobs({
    ...{ tenantId: owner, batch: batch === null ? null : { id: batch, name: null } },
    jobs: [0, 1].map((index) => buildJob(batch === null ? {} : { batchIndex: index })),
  });
  await client.query("UPDATE jobs SET lane = 'measured' WHERE id = ANY($1)", [[one!.id, other!.id]]);
  const [first, waiting] = [await claim(one!.id, serverId), await claim(other!.id, serverId)];
  await database.jobRuns.recordProgress([
    { ...first, phase: "executing", progress: buildProgress(1) },
    { ...waiting, phase: "submitted", progress: buildProgress(0) },
  ]);
  return { serverId, first, waiting };
}

async function listed({ waiting }: Played): Promise<boolean> {
  return (await database.takeBacks.listWaiting(1_000)).some(({ jobId }) => jobId === waiting.jobId);
}

async function askAndBegin({ waiting }: Played): Promise<string | null> {
  expect(await database.takeBacks.ask(waiting, emptyId)).toBe(true);
  return await database.takeBacks.begin(waiting);
}

const takenBack = (serverId = emptyId): AttemptEnd => ({
  ...{ kind: "requeue", failure: buildFailure({ class: "server", code: takenBackCode }) },
  ...{ delayMs: 60_000, charged: false, avoidServer: true, takenBackFor: serverId },
});

async function claimForEmpty(lease: JobLease, serverId = emptyId): Promise<LeasedJob[]> {
  const by = { workerId: "worker-e", clientId: "client-e", promptId: uuidv7() };
  const { jobId, attempt } = lease;
  const claims = [{ jobId, attempt: attempt + 1, ticketNumber: 0, serverId, ...by }];
  return await database.takeBacks.claim(claims, 600_000);
}

test("a waiting prompt is listed with what stands before it", async () => {
  const { serverId, waiting } = await play();
  const found = (await database.takeBacks.listWaiting(1_000)).find(({ jobId }) => jobId === waiting.jobId);
  expect(found).toMatchObject({
    ...{ attempt: 1, leaseNumber: 1, serverId, lane: "measured", requires: [], band: 2, runMs: 60_000 },
    ...{ mainModel: null, loadMs: null, triedServerIds: [serverId] },
  });
  expect(found?.aheadMs).toBeGreaterThan(50_000);
  expect(found?.aheadMs).toBeLessThanOrEqual(60_000);
});

test("what stands before it is not known while jobs of that lane were not measured", async () => {
  const { first, waiting } = await play();
  await client.query("UPDATE jobs SET lane = 'default' WHERE id = $1", [first.jobId]);
  const found = (await database.takeBacks.listWaiting(1_000)).find(({ jobId }) => jobId === waiting.jobId);
  expect(found).toMatchObject({ aheadMs: null });
});

test("a job that executes for longer than usual probably goes on for as long as it has exceeded that", async () => {
  const { first, waiting } = await play();
  await client.query(
    "UPDATE job_attempts SET execution_started_at = now() - interval '90 seconds' WHERE job_id = $1",
    [first.jobId],
  );
  const aheadMs = async (): Promise<number> =>
    (await database.takeBacks.listWaiting(1_000)).find(({ jobId }) => jobId === waiting.jobId)?.aheadMs ?? 0;
  expect(await aheadMs()).toBeGreaterThanOrEqual(30_000);
  expect(await aheadMs()).toBeLessThan(40_000);
  await client.query(
    "UPDATE job_attempts SET execution_started_at = now() - interval '900 seconds' WHERE job_id = $1",
    [first.jobId],
  );
  expect(await aheadMs()).toBeGreaterThanOrEqual(840_000);
});

test("of two that ask for a prompt one succeeds, and its owner begins once", async () => {
  const played = await play();
  expect(await listed(played)).toBe(true);
  const asked = await Promise.all([1, 2].map(() => database.takeBacks.ask(played.waiting, emptyId)));
  expect(asked.toSorted()).toEqual([false, true]);
  expect(await listed(played)).toBe(false);
  const { takeBackAsked } = await database.jobRuns.renewLeases([played.first, played.waiting], 600_000);
  expect(takeBackAsked).toEqual([played.waiting.jobId]);
  expect(await database.takeBacks.begin(played.waiting)).toBe(emptyId);
  expect(await database.takeBacks.begin(played.waiting)).toBeNull();
  expect(await database.takeBacks.ask(played.waiting, emptyId)).toBe(false);
  expect((await database.jobRuns.renewLeases([played.waiting], 600_000)).takeBackAsked).toEqual([]);
  // Also when the request is forgotten.
  await client.query("UPDATE jobs SET take_back_asked_at = now() - interval '1 hour' WHERE id = $1", [
    played.waiting.jobId,
  ]);
  expect(await listed(played)).toBe(false);
  expect(await database.takeBacks.ask(played.waiting, emptyId)).toBe(false);
});

test("a request that nobody met may be made again, and is void by then", async () => {
  const played = await play();
  await database.takeBacks.ask(played.waiting, emptyId);
  await client.query("UPDATE jobs SET take_back_asked_at = now() - interval '11 seconds' WHERE id = $1", [
    played.waiting.jobId,
  ]);
  expect(await database.takeBacks.begin(played.waiting)).toBeNull();
  expect((await database.jobRuns.renewLeases([played.waiting], 600_000)).takeBackAsked).toEqual([]);
  expect(await listed(played)).toBe(true);
  expect(await askAndBegin(played)).toBe(emptyId);
});

test("the request to a dead owner is not one to its successor", async () => {
  const played = await play();
  await database.takeBacks.ask(played.waiting, emptyId);
  await database.jobRuns.releaseLeases([played.waiting]);
  const [adopted] = await database.jobRuns.adoptJobs([played.serverId], "worker-b", 600_000);
  expect(await database.takeBacks.begin(played.waiting)).toBeNull();
  expect(await database.takeBacks.begin(adopted!)).toBeNull();
  expect(await database.takeBacks.ask(adopted!, emptyId)).toBe(true);
  expect(await database.takeBacks.begin(adopted!)).toBe(emptyId);
  // Nor is what the dead owner had begun: its successor may be asked again.
  await database.jobRuns.releaseLeases([adopted!]);
  const [again] = await database.jobRuns.adoptJobs([played.serverId], "worker-c", 600_000);
  expect(await database.takeBacks.ask(again!, emptyId)).toBe(true);
  expect(await database.takeBacks.begin(again!)).toBe(emptyId);
});

describe("a prompt stays where it is", () => {
  const stays = async (played: Played): Promise<void> => {
    expect(await listed(played)).toBe(false);
    expect(await database.takeBacks.begin(played.waiting)).toBeNull();
  };

  test("when nothing stands before it, unless it has waited without a reason for long", async () => {
    const { first, waiting, ...played } = await play();
    await database.jobRuns.endAttempt(first, { kind: "cancelled" });
    expect(await listed({ first, waiting, ...played })).toBe(false);
    await client.query(
      "UPDATE job_attempts SET submitted_at = now() - interval '3 seconds' WHERE job_id = $1",
      [waiting.jobId],
    );
    const prompts = await database.takeBacks.listWaiting(1_000);
    expect(prompts.find(({ jobId }) => jobId === waiting.jobId)).toMatchObject({ aheadMs: null });
  });

  test("when it has begun", async () => {
    const played = await play();
    await database.takeBacks.ask(played.waiting, emptyId);
    await database.jobRuns.recordProgress([
      { ...played.waiting, phase: "executing", progress: buildProgress(1) },
    ]);
    await stays(played);
  });

  test("when its job is to be cancelled", async () => {
    const played = await play();
    await database.takeBacks.ask(played.waiting, emptyId);
    await database.jobRequests.requestCancel(played.waiting.jobId);
    await stays(played);
  });

  test("while its lane is paused", async () => {
    const played = await play();
    await database.takeBacks.ask(played.waiting, emptyId);
    await database.lanePauses.pauseLane("measured", { keyName: "operator", tenantId: null });
    await stays(played);
    await database.lanePauses.resumeLane("measured", { keyName: "operator", tenantId: null });
    expect(await database.takeBacks.begin(played.waiting)).toBe(emptyId);
  });

  test("while the farm is paused", async () => {
    const played = await play();
    await database.takeBacks.ask(played.waiting, emptyId);
    await database.farm.pause({ keyName: "operator", tenantId: null });
    await stays(played);
    await database.farm.resume({ keyName: "operator", tenantId: null });
  });

  test("while its batch is paused", async () => {
    const batch = uuidv7();
    const played = await play(tenantId, batch);
    await database.takeBacks.ask(played.waiting, emptyId);
    await database.jobRequests.pauseBatch(batch);
    await stays(played);
  });

  test("when its tenant has no place for another running job", async () => {
    const [tenant] = await database.tenants.ensureTenants([`tenant-${uuidv7()}`]);
    const played = await play(tenant!.id);
    const limited = openDatabase({
      databaseUrl: scratch.url,
      limits: { jobsQueuedMax: null, jobsRunningMax: 2 },
    });
    const prompts = await limited.takeBacks.listWaiting(1_000);
    await limited.close();
    expect(prompts.some(({ jobId }) => jobId === played.waiting.jobId)).toBe(false);
    expect(await listed(played)).toBe(true);
  });

  test("when it reads much data that its server has already", async () => {
    const played = await play();
    await client.query(
      `INSERT INTO job_inputs (job_id, name, needs_id, output_index, storage_key, sha256, media_type, bytes)
       VALUES ($1, 'a', $2, 0, 'k', 's', 'video/mp4', 100000000)`,
      [played.waiting.jobId, uuidv7()],
    );
    expect(await listed(played)).toBe(false);
  });

  test("when the other server has got work", async () => {
    const played = await play();
    await database.takeBacks.ask(played.waiting, emptyId);
    const [job] = await database.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] });
    const lease = await claim(job!.id, emptyId);
    expect(await database.takeBacks.begin(played.waiting)).toBeNull();
    await database.jobRuns.endAttempt(lease, { kind: "cancelled" });
    expect(await database.takeBacks.begin(played.waiting)).toBe(emptyId);
  });
});

describe("a job whose prompt was taken back", () => {
  async function takeBack(): Promise<Played> {
    const played = await play();
    await askAndBegin(played);
    await database.jobRuns.endAttempt(played.waiting, takenBack());
    return played;
  }

  test("is queued, uncharged and without a failure, for the one server", async () => {
    const { waiting } = await takeBack();
    const job = await database.jobReader.of(tenantId).findJob(waiting.jobId);
    expect(job).toMatchObject({ status: "queued", attemptsCharged: 0, failure: null });
    const claims = { jobId: waiting.jobId, attempt: 2, ticketNumber: 0, serverId: emptyId };
    const by = { workerId: "w", clientId: "c", promptId: uuidv7() };
    expect(await database.jobRuns.claimJobs([{ ...claims, ...by }], 1_000)).toEqual([]);
    expect(await claimForEmpty(waiting, await freshServer())).toEqual([]);
    const [claimed] = await claimForEmpty(waiting);
    expect(claimed).toMatchObject({ attempt: 2, serverId: emptyId });
    expect(await claimForEmpty(waiting)).toEqual([]);
    await database.jobRuns.endAttempt(claimed!, { kind: "completed", outputs: [] });
  });

  test("waits for any server when that one has not claimed it in time", async () => {
    const { waiting } = await takeBack();
    await client.query("UPDATE jobs SET run_at = now() WHERE id = $1", [waiting.jobId]);
    await claim(waiting.jobId, await freshServer(), 2);
  });

  /** The job waits on this server, behind another one if it is the first one's. */
  async function waitOn(played: Played, serverId: string, attempt: number): Promise<Played> {
    await client.query("UPDATE jobs SET run_at = now() WHERE id = $1", [played.waiting.jobId]);
    const waiting = await claim(played.waiting.jobId, serverId, attempt);
    await database.jobRuns.recordProgress([{ ...waiting, phase: "submitted", progress: buildProgress(0) }]);
    return { ...played, waiting };
  }

  test("is not taken back again from the server to which it has moved, in that attempt", async () => {
    const moved = await takeBack();
    const other = await play();
    const second = await waitOn(moved, other.serverId, 2);
    expect(await listed(second)).toBe(false);
    await database.jobRuns.endAttempt(second.waiting, {
      ...{ kind: "requeue", failure: buildFailure(), delayMs: 0, charged: false, avoidServer: false },
    });
    expect(await listed(await waitOn(second, other.serverId, 3))).toBe(true);
  });

  test("is taken back again from the server where it was, but only three times in all", async () => {
    let played = await takeBack();
    for (const attempt of [2, 3]) {
      played = await waitOn(played, played.serverId, attempt);
      expect(await listed(played)).toBe(true);
      expect(await askAndBegin(played)).toBe(emptyId);
      await database.jobRuns.endAttempt(played.waiting, takenBack());
    }
    expect(await listed(await waitOn(played, played.serverId, 4))).toBe(false);
  });

  test("is claimed neither while it is paused, nor after it was cancelled", async () => {
    const [paused, cancelled] = [await takeBack(), await takeBack()];
    await database.jobRequests.pauseJob(paused.waiting.jobId);
    await database.jobRequests.requestCancel(cancelled.waiting.jobId);
    expect(await claimForEmpty(paused.waiting)).toEqual([]);
    expect(await claimForEmpty(cancelled.waiting)).toEqual([]);
  });
});
