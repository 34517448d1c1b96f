import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import {
  IllegalTransitionError,
  jobPhases,
  jobStatuses,
  mayAdvance,
  mayBecome,
  type AttemptEnd,
  type JobLease,
  type JobStatus,
} from "@genga/jobs";
import { buildFailure, buildJob } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

// The table of job-states.ts must agree with the conditions of the statements.

let stores: Awaited<ReturnType<typeof openTestStores>>;
let client: pg.Client;
let serverId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const [server] = await stores.servers.registerServers([{ url: "http://gpu:8188", slots: 9 }]);
  serverId = server!.id;
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

/** A job, and what writes in any of its statuses need. */
interface Play {
  id: string;
  batchId: string;
  /** The lease under which the job runs or ran. */
  lease: JobLease;
  nextAttempt: number;
}

const failure = buildFailure();
const requeue = { kind: "requeue", failure, delayMs: 0, charged: false, avoidServer: false } as const;
const ends: AttemptEnd[] = [
  { kind: "completed", outputs: [] },
  { kind: "failed", failure },
  { kind: "timeout", failure },
  { kind: "cancelled" },
  requeue,
];

async function claim(jobId: string, attempt: number): Promise<JobLease | undefined> {
  const found = await stores.jobRuns.findJob(jobId);
  const ticketNumber = found === null || found === "removed" ? 0 : found.ticketNumber;
  const by = { serverId, workerId: "worker-a", clientId: "client-a", promptId: uuidv7() };
  return (await stores.jobRuns.claimJobs([{ jobId, attempt, ticketNumber, ...by }], 0))[0];
}

/** Makes a job that has just reached this status; its queue deadline and its lease have expired. */
async function jobThatIs(status: JobStatus, isCancelRequested: boolean): Promise<Play> {
  const tenant = await stores.tenants.defaultTenant();
  const batchId = uuidv7();
  const expiresAt = new Date(Date.now() + 3_600_000);
  const [job] = await stores.jobRequests.insertJobs({
    ...{ tenantId: tenant.id, batch: { id: batchId, name: null } },
    jobs: [buildJob({ expiresAt, attemptsMax: 9 })],
  });
  const id = job!.id;
  const never: JobLease = { jobId: id, attempt: 1, leaseNumber: 1 };
  const lease = status === "queued" ? never : ((await claim(id, 1)) ?? never);
  if (isCancelRequested) await stores.jobRequests.requestCancel(id);
  const end = ends.find(({ kind }) => kind === status);
  if (end !== undefined) await stores.jobRuns.endAttempt(lease, end);
  await client.query("UPDATE jobs SET expires_at = now() - interval '1 minute' WHERE id = $1", [id]);
  return { id, batchId, lease, nextAttempt: lease === never ? 1 : 2 };
}

/** Every way to change a job's status. */
const writers: Record<string, (play: Play) => Promise<unknown>> = {
  claim: ({ id, nextAttempt }) => claim(id, nextAttempt),
  cancel: ({ id }) => stores.jobRequests.requestCancel(id),
  "cancel its batch": ({ batchId }) => stores.jobRequests.cancelBatch(batchId),
  retry: ({ id }) => unlessIllegal(stores.jobRequests.retryJob(id)),
  "retry its batch": ({ batchId }) => stores.jobRequests.retryBatch(batchId),
  expire: () => stores.jobRuns.expireQueued(1_000),
  "fail a job that it needs": ({ id }) => failNeededOf(id),
  requeue: () => stores.jobRuns.requeueAbandoned(0),
  ...Object.fromEntries(
    ends.map((end) => [`end as ${end.kind}`, ({ lease }: Play) => stores.jobRuns.endAttempt(lease, end)]),
  ),
};

/** Makes the job need another one, which fails. */
async function failNeededOf(id: string): Promise<void> {
  const tenant = await stores.tenants.defaultTenant();
  const [needed] = await stores.jobRequests.insertJobs({
    ...{ tenantId: tenant.id, batch: null },
    jobs: [buildJob()],
  });
  await client.query("UPDATE jobs SET has_dependents = true WHERE id = $1", [needed!.id]);
  await client.query("UPDATE jobs SET open_dependencies = 1 WHERE id = $1", [id]);
  await client.query("INSERT INTO job_dependencies (job_id, needs_id) VALUES ($1, $2)", [id, needed!.id]);
  const lease = await claim(needed!.id, 1);
  await stores.jobRuns.endAttempt(lease!, { kind: "failed", failure });
}

async function unlessIllegal(asked: Promise<unknown>): Promise<void> {
  try {
    await asked;
  } catch (error) {
    if (!(error instanceof IllegalTransitionError)) throw error;
  }
}

async function statusOf(id: string): Promise<JobStatus> {
  const job = await stores.jobRuns.findJob(id);
  if (job === null || job === "removed") throw new Error(`Job ${id} is not there.`);
  return job.status;
}

test("some statement changes one status to another exactly where the table allows it", async () => {
  const seen = new Set<string>();
  for (const from of jobStatuses) {
    for (const write of Object.values(writers)) {
      for (const isCancelRequested of from === "processing" ? [false, true] : [false]) {
        const play = await jobThatIs(from, isCancelRequested);
        expect(await statusOf(play.id)).toBe(from);
        await write(play);
        const to = await statusOf(play.id);
        if (to !== from) seen.add(`${from} → ${to}`);
      }
    }
  }
  const allowed = jobStatuses.flatMap((from) =>
    jobStatuses.filter((to) => mayBecome(from, to)).map((to) => `${from} → ${to}`),
  );
  expect([...seen].sort()).toEqual(allowed.sort());
});

test("PostgreSQL changes one phase to another exactly where the table allows it", async () => {
  const { rows } = await client.query<{ phase: string }>(
    "SELECT unnest(enum_range(NULL::job_phase))::text AS phase",
  );
  const inOrder = jobPhases.toSorted((a, b) => (mayAdvance(a, b) ? -1 : 1));
  expect(rows.map(({ phase }) => phase)).toEqual(inOrder);
});
