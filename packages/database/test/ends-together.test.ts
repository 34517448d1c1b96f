import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type AttemptEnd, type AttemptResult, type JobLease } from "@genga/jobs";
import { buildFailure, buildJob, buildOutput } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenantId = (await stores.tenants.defaultTenant()).id;
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

/** Leases of so many running jobs; the first job has a dependent. */
async function running(count: number): Promise<JobLease[]> {
  const [first, ...others] = Array.from({ length: count }, () => buildJob());
  const dependent = buildJob({ dependsOn: [first!.id] });
  await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [first!, ...others, dependent] });
  return await claimed([first!.id, ...others.map(({ id }) => id)]);
}

async function claimed(jobIds: string[]): Promise<JobLease[]> {
  const slots = jobIds.length;
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots }]);
  const claims = jobIds.map((jobId) => {
    const who = { serverId: server!.id, workerId: "w", clientId: "c", promptId: uuidv7() };
    return { jobId, attempt: 1, ticketNumber: 0, ...who };
  });
  return await stores.jobRuns.claimJobs(claims, 60_000);
}

const completed = (output = buildOutput()): AttemptEnd => ({ kind: "completed", outputs: [output] });

/** The transactions that wrote these jobs last, and the types of their last events. */
async function written(leases: readonly JobLease[]) {
  const { rows } = await client.query<{ transaction: string; event: string; outputs: number }>(
    `SELECT job.xmin::text AS transaction, event.type AS event,
       (SELECT count(*)::int FROM outputs WHERE outputs.job_id = job.id) AS outputs
     FROM unnest($1::uuid[]) WITH ORDINALITY AS given(id, place) JOIN jobs job USING (id)
     JOIN job_events event ON event.job_id = job.id AND event.sequence = job.event_sequence ORDER BY place`,
    [leases.map(({ jobId }) => jobId)],
  );
  return rows;
}

test("ends that come while another one is written are one transaction, each with its own outcome", async () => {
  const leases = await running(6);
  const failure = buildFailure();
  const ends: AttemptEnd[] = [
    ...[completed(), completed(), completed(), { kind: "failed" as const, failure }],
    { kind: "requeue", failure, delayMs: 0, charged: false, avoidServer: false },
    { kind: "cancelled" },
  ];
  const results = await Promise.all(
    // The first lease has been lost, so its end writes nothing.
    leases.map((lease, index) =>
      stores.jobRuns.endAttempt(index === 0 ? { ...lease, leaseNumber: 9 } : lease, ends[index]!),
    ),
  );
  expect(results.map((result) => (result.held ? result.status : "lost"))).toEqual([
    ...["lost", "completed", "completed", "failed", "queued", "cancelled"],
  ]);
  const rows = await written(leases);
  expect(rows.map(({ event, outputs }) => `${event} ${outputs}`)).toEqual([
    ...["claimed 0", "completed 1", "completed 1", "failed 0", "requeued 0", "cancelled 0"],
  ]);
  expect(new Set(rows.slice(1).map(({ transaction }) => transaction)).size).toBe(1);
});

test("an end that cannot be stored harms none of those that it came with", async () => {
  const leases = await running(5);
  const taken = buildOutput();
  const outputs = [
    buildOutput(),
    taken,
    buildOutput({ storageKey: taken.storageKey }),
    buildOutput(),
    buildOutput(),
  ];
  const results = await Promise.allSettled(
    leases.map((lease, index) => stores.jobRuns.endAttempt(lease, completed(outputs[index]))),
  );
  expect(results.map(({ status }) => status)).toEqual([
    ...["fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled"],
  ]);
  const rows = await written(leases);
  expect(rows.map(({ event, outputs: stored }) => `${event} ${stored}`)).toEqual([
    ...["completed 1", "completed 1", "claimed 0", "completed 1", "completed 1"],
  ]);
});

test("an end does not wait for the job of another one, which another transaction has locked", async () => {
  const leases = await running(5);
  await client.query("BEGIN");
  await client.query("SELECT FROM jobs WHERE id = $1 FOR UPDATE", [leases[2]!.jobId]);
  const ends = leases.map((lease) => stores.jobRuns.endAttempt(lease, completed()));
  const [locked] = ends.splice(2, 1);
  expect((await Promise.all(ends)).map(({ held }) => held)).toEqual([true, true, true, true]);
  await client.query("ROLLBACK");
  expect(await locked).toMatchObject({ held: true, status: "completed" });
});

test("of two ends of one attempt at the same time, one is recorded", async () => {
  const [, lease, other] = await running(3);
  const failure = buildFailure();
  const results = await Promise.all([
    stores.jobRuns.endAttempt(other!, { kind: "cancelled" }),
    stores.jobRuns.endAttempt(lease!, completed()),
    stores.jobRuns.endAttempt(lease!, { kind: "failed", failure }),
  ]);
  expect(results.map(({ held }) => held)).toEqual([true, true, false]);
  expect(await written([lease!])).toMatchObject([{ event: "completed", outputs: 1 }]);
});

describe("completions of jobs that others need", () => {
  /** Leases of so many running jobs that two others need, and the ids of these two: one needs all of them, one the last. */
  async function needed(count: number): Promise<{ leases: JobLease[]; needsAll: string; needsLast: string }> {
    const jobs = Array.from({ length: count }, () => buildJob());
    const needsAll = buildJob({ dependsOn: jobs.map(({ id }) => id) });
    const needsLast = buildJob({ dependsOn: [jobs.at(-1)!.id] });
    await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [...jobs, needsAll, needsLast] });
    return {
      leases: await claimed(jobs.map(({ id }) => id)),
      needsAll: needsAll.id,
      needsLast: needsLast.id,
    };
  }

  const complete = (leases: JobLease[]): Promise<AttemptResult>[] =>
    leases.map((lease) => stores.jobRuns.endAttempt(lease, completed()));
  const releasedBy = (results: AttemptResult[]): string[] =>
    results.flatMap((result) => (result.held ? (result.passedOn?.released ?? []) : [])).map(({ id }) => id);
  async function open(jobId: string): Promise<number> {
    const { rows } = await client.query<{ open: number }>(
      "SELECT open_dependencies AS open FROM jobs WHERE id = $1",
      [jobId],
    );
    return rows[0]!.open;
  }

  test("that come together share transactions, and release each job that waited for them once", async () => {
    const { leases, needsAll, needsLast } = await needed(9);
    const results = await Promise.all(complete(leases));
    expect(results.map((result) => (result.held ? result.status : "lost"))).toEqual(
      leases.map(() => "completed"),
    );
    expect(releasedBy(results).toSorted()).toEqual([needsAll, needsLast].toSorted());
    expect([await open(needsAll), await open(needsLast)]).toEqual([0, 0]);
    const { rows } = await client.query<{ transactions: number }>(
      "SELECT count(DISTINCT xmin::text)::int AS transactions FROM outputs WHERE job_id = ANY($1)",
      [leases.map(({ jobId }) => jobId)],
    );
    expect(rows[0]!.transactions).toBeLessThan(9);
    const notes = await client.query("SELECT FROM ends_to_pass_on WHERE job_id = ANY($1)", [
      leases.map(({ jobId }) => jobId),
    ]);
    expect(notes.rowCount).toBe(0);
  });

  test("release a job that another transaction has locked once that one is over", async () => {
    const { leases, needsAll, needsLast } = await needed(4);
    await client.query("BEGIN");
    await client.query("SELECT FROM jobs WHERE id = $1 FOR UPDATE", [needsAll]);
    const ends = complete(leases);
    // They are recorded although what they release is locked.
    const ids = leases.map(({ jobId }) => jobId);
    let recorded = 0;
    while (recorded < 4) {
      const { rows } = await client.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM jobs WHERE id = ANY($1) AND status = 'completed'",
        [ids],
      );
      recorded = rows[0]!.count;
    }
    await client.query("ROLLBACK");
    expect(releasedBy(await Promise.all(ends)).toSorted()).toEqual([needsAll, needsLast].toSorted());
  });
});
