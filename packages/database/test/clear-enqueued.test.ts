import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { openDatabase, type Database } from "@genga/database";
import { buildJob } from "@genga/testing";
import { openTestStores, type TestStores } from "./test-stores.ts";

// After Redis was wiped, all announced rows are cleared, however many there are and whatever locks some of them.

let stores: TestStores;
let hasty: Database;
let client: pg.Client;
let ids: string[];

beforeAll(async () => {
  stores = await openTestStores();
  hasty = openDatabase({ databaseUrl: stores.url, statementTimeoutMs: 3_000 });
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const [tenant] = await stores.tenants.ensureTenants(["flood"]);
  const jobs = Array.from({ length: 7 }, () => buildJob());
  const inserted = await stores.jobRequests.insertJobs({ tenantId: tenant!.id, batch: null, jobs });
  ids = inserted.map(({ id }) => id);
  await stores.jobAnnouncer.markEnqueued(ids.map((jobId) => ({ jobId, attempt: 1, ticketNumber: 0 })));
}, 180_000);
afterAll(async () => {
  await client.end();
  await hasty.close();
  await stores.close();
});

async function announced(): Promise<string[]> {
  return (await stores.jobAnnouncer.listAnnounced(null, 100)).map(({ jobId }) => jobId);
}

test("a row that stays locked costs the other rows nothing, and is cleared when it is free", async () => {
  await client.query("BEGIN");
  await client.query("SELECT FROM jobs WHERE id = $1 FOR UPDATE", [ids[1]]);
  let { jobs, next } = await hasty.jobAnnouncer.clearEnqueued(null, 3);
  expect(jobs).toBe(3);
  ({ jobs, next } = await hasty.jobAnnouncer.clearEnqueued(next, 3));
  expect(jobs).toBe(3);
  expect(await announced()).toEqual([ids[1]]);
  ({ jobs, next } = await hasty.jobAnnouncer.clearEnqueued(next, 3));
  expect({ jobs, next }).toMatchObject({ jobs: 0, next: { afterJobId: null } });
  await client.query("ROLLBACK");
  expect(await hasty.jobAnnouncer.clearEnqueued(next, 3)).toEqual({ jobs: 1, next: null });
  expect(await announced()).toEqual([]);
});
