import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { openDatabase } from "@genga/database";
import { type JobStatus } from "@genga/jobs";
import { buildFailure, buildJob, buildOutput } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
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

/** Makes a job with this status through the store. */
async function jobThatIs(status: JobStatus): Promise<string> {
  const tenant = await stores.tenants.defaultTenant();
  const [job] = await stores.jobRequests.insertJobs({ tenantId: tenant.id, batch: null, jobs: [buildJob()] });
  const id = job!.id;
  if (status === "queued") return id;
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const claim = { jobId: id, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
  const [lease] = await stores.jobRuns.claimJobs(
    [{ ...claim, workerId: "worker-a", clientId: "client-a" }],
    60_000,
  );
  if (status === "completed")
    await stores.jobRuns.endAttempt(lease!, { kind: status, outputs: [buildOutput()] });
  else if (status === "cancelled") await stores.jobRuns.endAttempt(lease!, { kind: status });
  else if (status !== "processing")
    await stores.jobRuns.endAttempt(lease!, { kind: status, failure: buildFailure() });
  return id;
}

/** Changes a row with plain SQL, without the store. */
async function change(table: string, key: string, id: string, assignment: string): Promise<void> {
  await client.query(`UPDATE ${table} SET ${assignment} WHERE ${key} = $1`, [id]);
}

describe("The schema makes illegal states impossible:", () => {
  test.each<[string, JobStatus, string, string]>([
    ["ended without an end", "completed", "finished_at = NULL", "ended"],
    ["ended in a phase", "failed", "phase = 'executing'", "ended"],
    ["ended under a lease", "cancelled", "lease_owner = 'w', lease_expires_at = now()", "ended"],
    ["waiting with an end", "queued", "finished_at = now()", "ended"],
    ["running with an end", "processing", "finished_at = now()", "ended"],
    ["running without a phase", "processing", "phase = NULL", "ended"],
    ["queued on a server", "queued", "server_id = (SELECT min(id::text)::uuid FROM servers)", "queued"],
    ["queued with a prompt", "queued", "prompt_id = gen_random_uuid()", "queued"],
    ["queued beyond waiting", "queued", "phase = 'executing'", "queued"],
    ["queued with a cancel request", "queued", "cancel_requested_at = now()", "queued"],
    ["running without a prompt id", "processing", "prompt_id = NULL", "processing"],
    ["running without a client id", "processing", "client_id = NULL", "processing"],
    ["running without a server", "processing", "server_id = NULL", "processing"],
    ["running without a lease", "processing", "lease_owner = NULL", "processing"],
    ["running without an attempt", "processing", "attempt = 0, attempts_charged = 0", "processing"],
    ["completed at 99 percent", "completed", "percent = 99", "completed"],
    [
      "failed without a reason",
      "failed",
      "failure_class = NULL, failure_code = NULL, failure_message = NULL",
      "failure",
    ],
    ["half a reason", "timeout", "failure_code = NULL", "failure"],
    [
      "completed with a failure",
      "completed",
      "failure_class = 'server', failure_code = 'x', failure_message = 'x'",
      "failure",
    ],
    ["too late to cancel what was never asked", "completed", "cancel_too_late = true", "cancel"],
    ["more than everything", "processing", "percent = 100.5", "bounds"],
    ["less than nothing", "processing", "percent = -1", "bounds"],
    ["a negative attempt", "queued", "attempt = -1", "bounds"],
    ["a lane that BullMQ refuses", "queued", "lane = 'a:b'", "lane"],
    ["a place in no batch", "queued", "batch_index = 1", "batch"],
    ["a tag that is nothing", "queued", "tags = ARRAY[NULL]::text[]", "tags"],
  ])("no job is %s", async (_, status, assignment, check) => {
    const changed = change("jobs", "id", await jobThatIs(status), assignment);
    await expect(changed).rejects.toMatchObject({ code: "23514", constraint: `jobs_${check}_check` });
  });

  test.each([
    ["a file without a place", "storage_key = NULL", "kind"],
    ["an empty file", "bytes = 0", "kind"],
    ["a file with a text", "text = 'x'", "kind"],
    ["a text without text", "kind = 'text'", "kind"],
    ["without a hash", "sha256 = ''", "bounds"],
  ])("no output is %s", async (_, assignment, check) => {
    const changed = change("outputs", "job_id", await jobThatIs("completed"), assignment);
    await expect(changed).rejects.toMatchObject({ code: "23514", constraint: `outputs_${check}_check` });
  });

  test("a job has one set of outputs", async () => {
    const id = await jobThatIs("completed");
    const copied = client.query(
      `INSERT INTO outputs SELECT gen_random_uuid(), job_id, attempt, index, node_id, key, kind, filename, media_type,
        bytes, sha256, width, height, duration_ms, 'elsewhere', text FROM outputs WHERE job_id = $1`,
      [id],
    );
    await expect(copied).rejects.toMatchObject({ constraint: "outputs_job_id_index_key" });
  });

  test("an ended attempt has its outcome, its time and its lease number", async () => {
    const id = await jobThatIs("failed");
    const { rows } = await client.query(
      "SELECT outcome, lease_number, failure FROM job_attempts WHERE job_id = $1",
      [id],
    );
    expect(rows).toMatchObject([{ outcome: "failed", lease_number: 1, failure: { code: "node-failed" } }]);
    for (const column of ["outcome", "finished_at", "lease_number"]) {
      await expect(change("job_attempts", "job_id", id, `${column} = NULL`)).rejects.toMatchObject({
        constraint: "job_attempts_ended_check",
      });
    }
  });

  test("timestamps are read correctly where sessions have another time zone by default", async () => {
    const id = await jobThatIs("queued");
    await client.query(`ALTER DATABASE ${new URL(stores.url).pathname.slice(1)} SET timezone = 'Asia/Tokyo'`);
    const database = openDatabase({ databaseUrl: stores.url });
    const job = await database.jobRuns.findJob(id);
    await database.close();
    const { rows } = await client.query<{ created_at: Date }>("SELECT created_at FROM jobs WHERE id = $1", [
      id,
    ]);
    expect(job).toMatchObject({ createdAt: rows[0]?.created_at });
  });
});
