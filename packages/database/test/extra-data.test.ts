import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { ExtraDataNeededError, type AttemptEnd, type LeasedJob } from "@genga/jobs";
import { buildFailure, buildJob, buildOutput } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
let client: pg.Client;
let tenantId: string;
let serverId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenantId = (await stores.tenants.defaultTenant()).id;
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 2 }]);
  serverId = server!.id;
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

const sealed = new Uint8Array([1, 0, 255, 128, 10]);
const seal = (): Uint8Array => sealed;

async function accepted(more: Parameters<typeof buildJob>[0] = {}): Promise<string> {
  const jobs = [buildJob({ type: "workflow", sealedExtraData: sealed, ...more })];
  const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs });
  return job!.id;
}
async function claimed(jobId: string, attempt = 1): Promise<LeasedJob> {
  const found = await stores.jobRuns.findJob(jobId);
  const ticketNumber = found === null || found === "removed" ? 0 : found.ticketNumber;
  const by = { workerId: "worker", clientId: "client" };
  const claim = { jobId, attempt, ticketNumber, serverId, promptId: uuidv7(), ...by };
  return (await stores.jobRuns.claimJobs([claim], 60_000))[0]!;
}
async function kept(jobId: string): Promise<Buffer | undefined> {
  const { rows } = await client.query<{ sealed: Buffer }>(
    "SELECT sealed FROM job_secrets WHERE job_id = $1",
    [jobId],
  );
  return rows[0]?.sealed;
}
const requeue = {
  kind: "requeue",
  failure: buildFailure({ class: "server" }),
  delayMs: 0,
  charged: false,
  avoidServer: false,
} as const;

describe("the extra data of a job", () => {
  test("reaches the worker that runs the job: after a claim, an adoption, and a requeue", async () => {
    const jobId = await accepted();
    const first = await claimed(jobId);
    expect(Buffer.from(first.sealedExtraData!).equals(Buffer.from(sealed))).toBe(true);
    await stores.jobRuns.releaseLeases([first]);
    const adopted = (await stores.jobRuns.adoptJobs([serverId], "other", 60_000)).find(
      (job) => job.jobId === jobId,
    )!;
    expect(adopted).toMatchObject({ hasExtraData: true, sealedExtraData: first.sealedExtraData });
    await stores.jobRuns.endAttempt(adopted, requeue);
    expect(await claimed(jobId, 2)).toMatchObject({
      hasExtraData: true,
      sealedExtraData: first.sealedExtraData,
    });
  });

  test("is absent for jobs that were submitted without any", async () => {
    const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] });
    expect(await claimed(job!.id)).toMatchObject({ hasExtraData: false, sealedExtraData: null });
  });

  test.each<[string, AttemptEnd]>([
    ["completed", { kind: "completed", outputs: [buildOutput()] }],
    ["failed", { kind: "failed", failure: buildFailure() }],
    ["timeout", { kind: "timeout", failure: buildFailure({ class: "deadline" }) }],
    ["cancelled", { kind: "cancelled" }],
  ])("is erased when its attempt ends as %s", async (_name, end) => {
    const jobId = await accepted();
    const lease = await claimed(jobId);
    expect(await kept(jobId)).toBeDefined();
    await stores.jobRuns.endAttempt(lease, end);
    expect(await kept(jobId)).toBeUndefined();
  });

  test("is erased when a requeue becomes a cancellation, when it is cancelled or expires in the queue, and with its batch", async () => {
    const asked = await accepted();
    const lease = await claimed(asked);
    await stores.jobRequests.requestCancel(asked);
    await stores.jobRuns.endAttempt(lease, requeue);
    const queued = await accepted();
    await stores.jobRequests.requestCancel(queued);
    const expired = await accepted({ expiresAt: new Date(Date.now() - 1) });
    await stores.jobRuns.expireQueued(100);
    const batch = { id: uuidv7(), name: null };
    const [inBatch] = await stores.jobRequests.insertJobs({
      ...{ tenantId, batch },
      jobs: [buildJob({ type: "workflow", sealedExtraData: sealed })],
    });
    expect(await kept(inBatch!.id)).toBeDefined();
    await stores.jobRequests.cancelBatch(batch.id);
    for (const jobId of [asked, queued, expired, inBatch!.id]) expect(await kept(jobId)).toBeUndefined();
  });

  test("is erased by any statement that ends the job, also one of an earlier version", async () => {
    const jobId = await accepted();
    await client.query(
      "UPDATE jobs SET status = 'cancelled', phase = NULL, finished_at = now() WHERE id = $1",
      [jobId],
    );
    expect(await kept(jobId)).toBeUndefined();
    const removed = await accepted();
    await client.query("DELETE FROM jobs WHERE id = $1", [removed]);
    expect(await kept(removed)).toBeUndefined();
  });

  test("is needed again for a retry, of one job and of a batch", async () => {
    const jobId = await accepted();
    await stores.jobRuns.endAttempt(await claimed(jobId), { kind: "failed", failure: buildFailure() });
    await expect(stores.jobRequests.retryJob(jobId)).rejects.toThrow(ExtraDataNeededError);
    expect(await stores.jobRuns.findJob(jobId)).toMatchObject({ status: "failed" });
    expect(await stores.jobRequests.retryJob(jobId, seal)).toMatchObject({ status: "queued" });
    expect(await kept(jobId)).toEqual(Buffer.from(sealed));
    expect(await claimed(jobId, 2)).toMatchObject({ hasExtraData: true });

    const batch = { id: uuidv7(), name: null };
    const jobs = [buildJob({ type: "workflow", sealedExtraData: sealed }), buildJob()];
    const [secret, plain] = await stores.jobRequests.insertJobs({ tenantId, batch, jobs });
    for (const { id } of [secret!, plain!]) {
      await stores.jobRuns.endAttempt(await claimed(id), { kind: "failed", failure: buildFailure() });
    }
    await expect(stores.jobRequests.retryBatch(batch.id)).rejects.toThrow(/extraData/);
    expect((await stores.jobRequests.retryBatch(batch.id, seal)).length).toBe(2);
    expect([await kept(secret!.id), await kept(plain!.id)]).toEqual([Buffer.from(sealed), undefined]);
  });

  test("of a large batch is stored for each of its jobs", async () => {
    const batch = { id: uuidv7(), name: null };
    const jobs = Array.from({ length: 1_200 }, () => buildJob({ type: "workflow", sealedExtraData: sealed }));
    await stores.jobRequests.insertJobs({ tenantId, batch, jobs });
    const { rows } = await client.query<{ count: number }>(
      "SELECT count(*)::int FROM job_secrets JOIN jobs ON jobs.id = job_id WHERE batch_id = $1 AND has_extra_data",
      [batch.id],
    );
    expect(rows[0]!.count).toBe(1_200);
    await stores.jobRequests.cancelBatch(batch.id);
  });
});
