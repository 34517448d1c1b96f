import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { InvalidJobError, type Job, type NewJob } from "@genga/jobs";
import { buildJob } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

async function newTenant(): Promise<string> {
  const [tenant] = await stores.tenants.ensureTenants([`tenant-${uuidv7()}`]);
  return tenant!.id;
}

/** Each job by a submission of its own, all at the same time. */
const submitEach = (tenantId: string, jobs: NewJob[]): Promise<PromiseSettledResult<Job[]>[]> =>
  Promise.allSettled(
    jobs.map((job) => stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [job] })),
  );

const jobsOf = (count: number): NewJob[] =>
  Array.from({ length: count }, (_, index) => buildJob({ prompt: `${index} cats` }));

/** The transactions that wrote the jobs, each once, and how many of the jobs have an event. */
async function written(jobs: readonly { id: string }[]): Promise<{ transactions: number; accepted: number }> {
  const { rows } = await client.query<{ transactions: number; accepted: number }>(
    `SELECT count(DISTINCT job.xmin::text)::int AS transactions, count(event.type)::int AS accepted
     FROM jobs job LEFT JOIN job_events event ON event.job_id = job.id AND event.type = 'accepted'
     WHERE job.id = ANY ($1::uuid[])`,
    [jobs.map(({ id }) => id)],
  );
  return rows[0]!;
}

test("single jobs that come while another one is accepted are one transaction, and each is answered with its own", async () => {
  const tenantId = await newTenant();
  const jobs = jobsOf(20);
  const results = await submitEach(tenantId, jobs);
  const accepted = results.map((result) => (result.status === "fulfilled" ? result.value : []));
  expect(accepted.map((own) => own.map(({ id, tenantId: of }) => [id, of]))).toEqual(
    jobs.map(({ id }) => [[id, tenantId]]),
  );
  expect(await written(jobs)).toEqual({ transactions: 2, accepted: 20 });
  const ranks = accepted.flatMap((own) => own.map(({ rank }) => rank));
  expect(ranks).toEqual(ranks.toSorted((one, another) => one - another));
  expect(new Set(ranks).size).toBe(20);
});

test("a job that cannot be stored is refused alone", async () => {
  const tenantId = await newTenant();
  const jobs = [...jobsOf(4), buildJob({ uploadIds: [uuidv7()] }), ...jobsOf(3)];
  const results = await submitEach(tenantId, jobs);
  expect(results.map(({ status }) => status === "fulfilled")).toEqual(jobs.map((_, index) => index !== 4));
  expect(results[4]).toMatchObject({ reason: expect.any(InvalidJobError) });
  expect((await stores.jobReader.of(tenantId).summarizeQueue()).counts.queued).toBe(7);
});

test("jobs of different tenants are never in one transaction", async () => {
  const [one, another] = [await newTenant(), await newTenant()];
  const [ofOne, ofAnother] = [jobsOf(6), jobsOf(6)];
  await Promise.all([submitEach(one, ofOne), submitEach(another, ofAnother)]);
  const transactionsOf = async (jobs: NewJob[]): Promise<string[]> => {
    const ids = jobs.map(({ id }) => id);
    const { rows } = await client.query<{ transaction: string }>(
      "SELECT DISTINCT xmin::text AS transaction FROM jobs WHERE id = ANY ($1::uuid[])",
      [ids],
    );
    return rows.map(({ transaction }) => transaction);
  };
  const others = new Set(await transactionsOf(ofAnother));
  expect((await transactionsOf(ofOne)).filter((transaction) => others.has(transaction))).toEqual([]);
});
