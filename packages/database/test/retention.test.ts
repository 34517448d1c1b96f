import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { type RetentionLimits } from "@genga/jobs";
import { buildJob, buildOutput } from "@genga/testing";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;
let tenantIds: string[];
let serverId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  serverId = server!.id;
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

beforeEach(async () => {
  const names = ["first", "second"].map((name) => `${name}-${uuidv7()}`);
  tenantIds = [];
  for (const name of names) {
    const id = uuidv7();
    await client.query("INSERT INTO tenants (id, name) VALUES ($1, $2)", [id, name]);
    tenantIds.push(id);
  }
});

/** Inserts an ended job with an output of this size. */
async function endedJob(
  tenantId: string,
  minutesAgo: number,
  bytes = 100,
  options: Parameters<typeof buildJob>[0] = {},
): Promise<string> {
  const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob(options)] });
  const claim = {
    jobId: job!.id,
    attempt: 1,
    ticketNumber: 0,
    serverId,
    promptId: uuidv7(),
    workerId: "w",
    clientId: "c",
  };
  const [lease] = await stores.jobRuns.claimJobs([claim], 60_000);
  await stores.jobRuns.endAttempt(lease!, { kind: "completed", outputs: [buildOutput({ bytes })] });
  await client.query("UPDATE jobs SET finished_at = now() - $2 * interval '1 minute' WHERE id = $1", [
    job!.id,
    minutesAgo,
  ]);
  return job!.id;
}

const unlimited: RetentionLimits = { ageMs: null, jobs: null, bytes: null };

/** Which of the jobs are beyond the limits; asserts that it is the same before and after their counts are folded. */
async function overdue(limits: Partial<RetentionLimits>, ids: string[], limit = 100): Promise<number[]> {
  const options = { graceMs: 60_000, limit };
  const list = async (): Promise<number[]> =>
    (await stores.keeping.listOverdue({ ...unlimited, ...limits }, options))
      .map(({ id }) => ids.indexOf(id))
      .filter((index) => index >= 0);
  const before = await list();
  await stores.keeping.foldCounts(10_000);
  expect(await list()).toEqual(before);
  return before;
}

/** Five jobs of the first tenant, which ended 10 to 6 minutes ago, and an old one of the second tenant. */
async function sixJobs(): Promise<string[]> {
  const ids: string[] = [];
  for (const minutesAgo of [10, 9, 8, 7, 6]) ids.push(await endedJob(tenantIds[0]!, minutesAgo));
  ids.push(await endedJob(tenantIds[1]!, 8.5));
  return ids;
}

test("a tenant keeps its newest jobs, and those of other tenants do not count", async () => {
  const ids = await sixJobs();
  expect(await overdue({ jobs: 2 }, ids)).toEqual([0, 1, 2]);
  expect(await overdue({ jobs: 5 }, ids)).toEqual([]);
});

test("jobs of every tenant beyond an age are overdue", async () => {
  const ids = await sixJobs();
  expect(await overdue({ ageMs: 8.25 * 60_000 }, ids)).toEqual([0, 1, 5]);
});

test("as many of the oldest jobs are overdue as exceed the bytes", async () => {
  const ids = await sixJobs();
  expect(await overdue({ bytes: 300 }, ids)).toEqual([0, 1]);
  expect(await overdue({ bytes: 299 }, ids)).toEqual([0, 1, 2]);
  expect(await overdue({ bytes: 500 }, ids)).toEqual([]);
});

test("a file that outlives its job counts for the last of the jobs that read it", async () => {
  const [tenantId] = tenantIds;
  const source = await endedJob(tenantId!, 10, 1_000);
  const input = { name: "a.png", from: source, output: 0, kind: "image" as const };
  const reading = { dependsOn: [source], inputs: [input, { ...input, name: "b.png" }] };
  const ids = [await endedJob(tenantId!, 9), await endedJob(tenantId!, 8, 100, reading)];
  ids.push(await endedJob(tenantId!, 7, 100, reading), await endedJob(tenantId!, 6));
  const bytesOf = async (index: number): Promise<number | undefined> => {
    const all = await stores.keeping.listOverdue({ ...unlimited, jobs: 0 }, { graceMs: 0, limit: 100 });
    return all.find(({ id }) => id === ids[index])?.bytes;
  };
  expect(await overdue({ bytes: 1_399 }, [source, ...ids])).toEqual([0]);
  expect(await overdue({ bytes: 1_400 }, [source, ...ids])).toEqual([]);
  await stores.jobRequests.removeJob(source);
  expect([await bytesOf(1), await bytesOf(2)]).toEqual([100, 1_100]);
  expect(await overdue({ bytes: 1_400 }, ids)).toEqual([]);
  expect(await overdue({ bytes: 1_200 }, ids)).toEqual([0, 1]);
  expect(await overdue({ bytes: 1_199 }, ids)).toEqual([0, 1, 2]);
  await stores.jobRequests.removeJob(ids[2]!);
  expect([await bytesOf(1), await bytesOf(3)]).toEqual([1_100, 100]);
  await stores.jobRequests.removeJob(ids[1]!);
  expect(await overdue({ bytes: 200 }, ids)).toEqual([]);
  expect(await overdue({ bytes: 199 }, ids)).toEqual([0]);
});

test("each limit holds by itself, no job is overdue within the grace, and without limits all jobs stay", async () => {
  const ids = [...(await sixJobs()), await endedJob(tenantIds[1]!, 0)];
  expect(await overdue({ jobs: 4, bytes: 300, ageMs: 9.5 * 60_000 }, ids)).toEqual([0, 1]);
  expect(await overdue({ jobs: 0 }, ids)).toEqual([0, 1, 5, 2, 3, 4]);
  expect(await overdue({}, ids)).toEqual([]);
});

test("a dry run counts all jobs of each tenant that are beyond the limits, and removes none", async () => {
  const ids = [...(await sixJobs()), await endedJob(tenantIds[1]!, 7, 4_000_000_000)];
  const excess = async (limits: Partial<RetentionLimits>): Promise<[number, number][]> => {
    const found = await stores.keeping.listExcess({ ...unlimited, ...limits }, { graceMs: 60_000 });
    const { rows: names } = await client.query<{ name: string }>(
      "SELECT name FROM tenants WHERE id = ANY($1) ORDER BY array_position($1, id)",
      [tenantIds],
    );
    return names.map(({ name }) => {
      const own = found.find(({ tenantName }) => tenantName === name);
      return [own?.jobs ?? 0, own?.bytes ?? 0];
    });
  };
  expect(await excess({ jobs: 1 })).toEqual([
    [4, 400],
    [1, 100],
  ]);
  expect(await excess({ ageMs: 6.5 * 60_000 })).toEqual([
    [4, 400],
    [2, 4_000_000_100],
  ]);
  expect(await excess({})).toEqual([
    [0, 0],
    [0, 0],
  ]);
  const { rowCount } = await client.query("SELECT FROM jobs WHERE id = ANY($1)", [ids]);
  expect(rowCount).toBe(ids.length);
});
