import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { LimitReachedError, outputStorageKey, type Job, type MadeJob, type NewJob } from "@genga/jobs";
import { buildJob, buildOutput, buildWorkflow } from "@genga/testing";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let tenantId: string;
let client: pg.Client;
/** Holds locks in transactions of its own. */
let holder: pg.Client;
let graphs = 0;

beforeAll(async () => {
  stores = await openTestStores();
  tenantId = (await stores.tenants.defaultTenant()).id;
  client = new pg.Client({ connectionString: stores.url });
  holder = new pg.Client({ connectionString: stores.url });
  await Promise.all([client.connect(), holder.connect()]);
});
afterEach(async () => {
  await holder.query("ROLLBACK");
  expect(await filesLost()).toEqual([]);
});
afterAll(async () => {
  await Promise.all([client.end(), holder.end()]);
  await stores.close();
});

/** A graph that no other test has. */
const graph = (): string => buildWorkflow(`graph ${(graphs += 1)}`);
const asking = (workflow: string, more: Partial<NewJob> = {}): NewJob =>
  buildJob({ workflow, mayReuse: true, ...more });

async function insert(...jobs: NewJob[]): Promise<Job[]> {
  return await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs });
}

async function insertOne(job: NewJob): Promise<Job> {
  return (await insert(job))[0]!;
}

const bytesOfFile = 1_000;
const keyOf = (jobId: string): string =>
  outputStorageKey({ jobId, attempt: 1, leaseNumber: 1, index: 0, filename: "a.png" });

/** Runs a job to its success, with a file and a text. */
async function run(id: string, warnings: string[] = [], kinds = ["file", "text"]): Promise<void> {
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const claim = { jobId: id, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
  const [lease] = await stores.jobRuns.claimJobs([{ ...claim, workerId: "w", clientId: "c" }], 60_000);
  const text = {
    ...{ index: 1, kind: "text" as const, filename: null, storageKey: null, text: "a cat" },
    bytes: 5,
  };
  const file = buildOutput({ storageKey: keyOf(id), bytes: bytesOfFile });
  await stores.jobRuns.endAttempt(lease!, {
    kind: "completed",
    outputs: [file, buildOutput(text)].filter(({ kind }) => kinds.includes(kind)),
    warnings,
  });
}

async function completed(workflow: string, more: Partial<NewJob> = {}): Promise<Job> {
  const job = await insertOne(buildJob({ workflow, ...more }));
  await run(job.id);
  return job;
}

/** Files that a job names and that are noted to be removed, or that a finished removal would not keep. */
async function filesLost(): Promise<unknown[]> {
  const { rows } = await client.query<{ storage_key: string }>(
    `SELECT output.storage_key FROM outputs output JOIN removed_jobs gone ON output.storage_key LIKE 'jobs/' || gone.id || '/%'
     WHERE NOT EXISTS (SELECT FROM job_inputs own WHERE own.job_id = output.job_id AND own.storage_key = output.storage_key)`,
  );
  return rows;
}

/** What the keeper would remove now of files that were noted. */
async function removedFiles(): Promise<string[]> {
  const removed: string[] = [];
  await stores.keeping.removeUploadFiles(100, (keys) => {
    removed.push(...keys);
    return Promise.resolve();
  });
  return removed;
}

async function bytesKept(): Promise<number> {
  const limits = { ageMs: null, jobs: null, bytes: 0 };
  const excess = await stores.keeping.listExcess(limits, { graceMs: -1_000 });
  return excess.reduce((sum, { bytes }) => sum + bytes, 0);
}

describe("A job with the graph of a completed one", () => {
  test("is complete at once with that one's outputs, and has its events in order", async () => {
    const workflow = graph();
    const source = await completed(workflow);
    const job = await insertOne(asking(workflow, { project: "another" }));
    expect(job).toMatchObject({
      ...{ status: "completed", phase: null, attempt: 0, eventSequence: 2, reusedFrom: source.id },
      ...{ startedAt: null, finishedAt: expect.any(Date), progress: { percent: 100 }, project: "another" },
    });
    const reader = stores.jobReader.of(tenantId);
    expect(await reader.listEvents(job.id, 0, 10)).toMatchObject([
      { sequence: 1, type: "accepted", attempt: 0 },
      { sequence: 2, type: "completed", attempt: 0, data: { reusedFrom: source.id, outputs: 2 } },
    ]);
    const [own, theirs] = [await reader.listOutputs(job.id), await reader.listOutputs(source.id)];
    expect(own.map((output) => ({ ...output, id: 0, jobId: 0, attempt: 0, createdAt: 0 }))).toEqual(
      theirs.map((output) => ({ ...output, id: 0, jobId: 0, attempt: 0, createdAt: 0 })),
    );
    expect(new Set([...own, ...theirs].map(({ id }) => id)).size).toBe(4);
    expect(await stores.jobAnnouncer.listUnannounced(100)).toEqual([]);
  });

  test("has no inputs, and says which attempt made its outputs while that job is there", async () => {
    const workflow = graph();
    const source = await completed(workflow);
    const middle = await insertOne(asking(workflow));
    const project = uuidv7();
    const job = await insertOne(asking(workflow, { project }));
    const reader = stores.jobReader.of(tenantId);
    const made = async (): Promise<unknown> => {
      for await (const each of reader.readMadeJobs({ project })) return each;
      return undefined;
    };
    const [attempt] = await reader.listAttempts(source.id);
    const { reusedFrom } = job;
    expect([source.id, middle.id]).toContain(reusedFrom);
    expect(await reader.findParameters(job.id)).toMatchObject({ inputs: [] });
    const { serverId } = attempt!;
    expect(await made()).toMatchObject({ id: job.id, inputs: [], reusedFrom, attempt: 1, serverId });
    await stores.jobRequests.removeJob(middle.id);
    expect(await made()).toMatchObject({ reusedFrom, attempt: 1, serverId });
    await stores.jobRequests.removeJob(source.id);
    const unknown = { attempt: null, serverId: null, serverVersion: null };
    expect(await made()).toMatchObject({ inputs: [], reusedFrom, ...unknown });
  });

  test("knows the maker of its outputs when a job between them was removed, with a text and without a file", async () => {
    const workflow = graph();
    const source = await insertOne(buildJob({ workflow }));
    await run(source.id, [], ["text"]);
    const middle = await insertOne(asking(workflow));
    await client.query("UPDATE jobs SET reuse_hash = NULL WHERE id = $1", [source.id]);
    const project = uuidv7();
    expect(await insertOne(asking(workflow, { project }))).toMatchObject({ reusedFrom: middle.id });
    await stores.jobRequests.removeJob(middle.id);
    const [attempt] = await stores.jobReader.of(tenantId).listAttempts(source.id);
    const made: MadeJob[] = [];
    for await (const each of stores.jobReader.of(tenantId).readMadeJobs({ project })) made.push(each);
    expect(made).toMatchObject([{ attempt: 1, serverId: attempt!.serverId }]);
  });

  test("runs unless it asks, and unless everything that decides outputs is equal", async () => {
    const workflow = graph();
    await completed(workflow);
    const parameters = { stripMetadata: true };
    const others: NewJob[] = [
      buildJob({ workflow }),
      asking(graph()),
      asking(workflow, { parameters }),
      asking(workflow, { parameters: { keepPreviews: true } }),
      asking(workflow, { parameters: { extraData: { extra_pnginfo: { title: "a" } } } }),
      asking(workflow, { sealedExtraData: Buffer.from("secret") }),
    ];
    for (const job of others) expect((await insertOne(job)).status).toBe("queued");
    expect((await insertOne(asking(workflow, { parameters: { stripMetadata: false } }))).status).toBe(
      "completed",
    );
  });

  test("runs if that one has not completed, failed, lacks outputs, used secrets, or is another tenant's", async () => {
    const graphsOf = { queued: graph(), warned: graph(), secret: graph(), theirs: graph() };
    await insertOne(buildJob({ workflow: graphsOf.queued }));
    const warned = await insertOne(buildJob({ workflow: graphsOf.warned }));
    await run(warned.id, ["a node was blocked"]);
    await completed(graphsOf.secret, { sealedExtraData: Buffer.from("secret") });
    const [other] = await stores.tenants.ensureTenants(["atelier"]);
    const [theirs] = await stores.jobRequests.insertJobs({
      ...{ tenantId: other!.id, batch: null, jobs: [buildJob({ workflow: graphsOf.theirs })] },
    });
    await run(theirs!.id);
    for (const workflow of Object.values(graphsOf)) {
      expect(await insertOne(asking(workflow))).toMatchObject({ status: "queued", reusedFrom: null });
    }
  });

  test("runs if that one got secrets by its retry, and does not if it was retried without any", async () => {
    const graphsOf = { secret: graph(), plain: graph() };
    const [secret, plain] = await insert(
      buildJob({ workflow: graphsOf.secret }),
      buildJob({ workflow: graphsOf.plain }),
    );
    for (const { id } of [secret!, plain!]) await stores.jobRequests.requestCancel(id);
    await stores.jobRequests.retryJob(secret!.id, () => Buffer.from("secret"));
    await stores.jobRequests.retryJob(plain!.id);
    await client.query("UPDATE jobs SET ticket_number = 0 WHERE id = ANY($1)", [[secret!.id, plain!.id]]);
    for (const { id } of [secret!, plain!]) await run(id);
    expect(await insertOne(asking(graphsOf.secret))).toMatchObject({ status: "queued", reusedFrom: null });
    expect(await insertOne(asking(graphsOf.plain))).toMatchObject({ reusedFrom: plain!.id });
  });

  test("that waits for another one, or reads its output, runs", async () => {
    const workflow = graph();
    const source = await completed(workflow);
    expect((await insertOne(asking(workflow, { dependsOn: [source.id] }))).status).toBe("queued");
    const inputs = [{ name: "genga/x.png", from: source.id, output: 0, kind: null }];
    const reads = graph();
    const reader = await insertOne(buildJob({ workflow: reads, dependsOn: [source.id], inputs }));
    await run(reader.id);
    expect((await insertOne(asking(reads))).status).toBe("queued");
  });

  test("in a batch lets those that depend on it begin, and takes no room in the queue", async () => {
    const [known, next] = [graph(), graph()];
    await completed(known);
    const [first, fresh] = [asking(known, { batchIndex: 0 }), asking(next, { batchIndex: 1 })];
    const inputs = [{ name: "genga/x.png", from: first.id, output: 0, kind: "image" as const }];
    const last = asking(graph(), { batchIndex: 2, dependsOn: [first.id], inputs });
    const [, , waiting] = await stores.jobRequests.insertJobs({
      ...{ tenantId, batch: { id: uuidv7(), name: null }, jobs: [first, fresh, last] },
    });
    expect(waiting!.openDependencies).toBe(1);
    while (!(await stores.jobRuns.passOnEnds(100)).isDone);
    expect(await stores.jobReader.of(tenantId).findJob(last.id)).toMatchObject({ openDependencies: 0 });
    const { rows } = await client.query("SELECT storage_key FROM job_inputs WHERE job_id = $1", [last.id]);
    expect(rows).toEqual([{ storage_key: expect.stringMatching(/^jobs\/.*a\.png$/) }]);
    await client.query(
      `INSERT INTO tenant_limits (tenant_id, jobs_queued_max) VALUES ($1, 0)
       ON CONFLICT (tenant_id) DO UPDATE SET jobs_queued_max = 0`,
      [tenantId],
    );
    try {
      expect((await insertOne(asking(known))).status).toBe("completed");
      await stores.jobRequests.checkJobs({ tenantId, batch: null, jobs: [asking(known)] });
      await expect(insertOne(asking(graph()))).rejects.toBeInstanceOf(LimitReachedError);
    } finally {
      await client.query("DELETE FROM tenant_limits");
    }
  });

  test("of thousands of jobs of a batch is found for each of them", async () => {
    const workflow = graph();
    await completed(workflow);
    const jobs = Array.from({ length: 1_200 }, (_, batchIndex) =>
      asking(batchIndex % 2 === 0 ? workflow : graph(), { batchIndex }),
    );
    const batch = { id: uuidv7(), name: null };
    const inserted = await stores.jobRequests.insertJobs({ tenantId, batch, jobs });
    expect(inserted.map(({ status }) => status)).toEqual(
      jobs.map((_, index) => (index % 2 === 0 ? "completed" : "queued")),
    );
  });
});

describe("A file that several jobs own", () => {
  test("stays until the last of them is removed, in whichever order, and counts once", async () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
    ]) {
      const workflow = graph();
      const before = await bytesKept();
      const source = await completed(workflow);
      const key = keyOf(source.id);
      const jobs = [source, await insertOne(asking(workflow)), await insertOne(asking(workflow))];
      for (const [step, index] of order.entries()) {
        const left = jobs.length - step;
        expect((await bytesKept()) - before).toBe(bytesOfFile + 5 * left);
        const removed = await stores.jobRequests.removeJob(jobs[index]!.id);
        const keeps = index === 0 && left > 1 ? [key] : [];
        expect(removed).toMatchObject({ keptFiles: keeps });
        const isLastOfOthers = left === 1 && index !== 0;
        expect(await removedFiles()).toEqual(isLastOfOthers ? [key] : []);
        expect(await stores.jobRuns.listOwned([key])).toEqual(left > 1 ? [key] : []);
      }
      expect(await bytesKept()).toBe(before);
    }
  });

  test("is shared on after the job that stored it was removed, and stays for a job that reads it", async () => {
    const workflow = graph();
    const source = await completed(workflow);
    const second = await insertOne(asking(workflow));
    await stores.jobRequests.removeJob(source.id);
    const third = await insertOne(asking(workflow));
    expect(third).toMatchObject({ status: "completed", reusedFrom: second.id });
    const inputs = [{ name: "genga/x.png", from: third.id, output: 0, kind: "image" as const }];
    const reader = await insertOne(buildJob({ workflow: graph(), dependsOn: [third.id], inputs }));
    await stores.jobRequests.removeJob(second.id);
    await stores.jobRequests.removeJob(third.id);
    expect(await removedFiles()).toEqual([]);
    expect(await stores.jobRuns.listOwned([keyOf(source.id)])).toEqual([keyOf(source.id)]);
    await run(reader.id);
    await stores.jobRequests.removeJob(reader.id);
    expect(await removedFiles()).toEqual([keyOf(source.id)]);
  });

  test("of a batch that is removed whole goes with it", async () => {
    const workflow = graph();
    const source = await completed(workflow);
    const job = await insertOne(asking(workflow));
    const removed = await stores.keeping.removeEnded([source.id, job.id]);
    expect(removed.map(({ keptFiles }) => keptFiles)).toEqual([[], []]);
    expect(await removedFiles()).toEqual([]);
  });
});

describe("A source that is being removed", () => {
  test("before it is locked lets the job run, and after that waits for the job", async () => {
    const workflow = graph();
    const source = await completed(workflow);
    await holder.query("BEGIN");
    await holder.query("SELECT FROM jobs WHERE id = $1 FOR UPDATE", [source.id]);
    const inserting = insertOne(asking(workflow));
    await untilWaitingForLock();
    await holder.query("DELETE FROM jobs WHERE id = $1", [source.id]);
    await holder.query("COMMIT");
    expect(await inserting).toMatchObject({ status: "queued", reusedFrom: null });

    const other = graph();
    const kept = await completed(other);
    await holder.query("BEGIN");
    // Stands for the transaction of a submission.
    await holder.query("SELECT FROM jobs WHERE id = $1 FOR KEY SHARE", [kept.id]);
    expect(await stores.keeping.removeEnded([kept.id])).toEqual([]);
    const removing = stores.jobRequests.removeJob(kept.id);
    await untilWaitingForLock();
    expect((await insertOne(asking(other))).reusedFrom).toBe(kept.id);
    await holder.query("COMMIT");
    expect(await removing).toMatchObject({ keptFiles: [keyOf(kept.id)] });
  });

  test("by many at once, with submissions, loses no file that a job names", async () => {
    const workflow = graph();
    const source = await completed(workflow);
    const submissions = Array.from({ length: 6 }, () => insertOne(asking(workflow)));
    const removals = [source.id].map((id) => stores.jobRequests.removeJob(id));
    const jobs = await Promise.all(submissions);
    await Promise.all(removals);
    const reused = jobs.filter(({ status }) => status === "completed");
    await Promise.all([
      ...reused.slice(1).map(({ id }) => stores.jobRequests.removeJob(id)),
      ...Array.from({ length: 4 }, () => insertOne(asking(workflow))),
    ]);
    const { rows } = await client.query<{ key: string }>(
      "SELECT DISTINCT storage_key AS key FROM outputs WHERE storage_key = $1",
      [keyOf(source.id)],
    );
    expect(await stores.jobRuns.listOwned([keyOf(source.id)])).toEqual(rows.map(({ key }) => key));
    const gone = await removedFiles();
    expect(gone).toEqual(rows.length === 0 ? gone : []);
  });
});

async function untilWaitingForLock(): Promise<void> {
  const waiting =
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  while ((await client.query(waiting)).rowCount === 0);
}
