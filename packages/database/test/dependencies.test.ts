import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import {
  InvalidJobError,
  NeededJobEndedError,
  type AttemptEnd,
  type Job,
  type LeasedJob,
  type NewJob,
} from "@genga/jobs";
import { buildFailure, buildJob, buildOutput } from "@genga/testing";
import { brokenDependencies } from "./dependency-rules.ts";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
let client: pg.Client;
/** Holds locks in transactions of its own. */
let holder: pg.Client;
let tenantId: string;
let serverId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  holder = new pg.Client({ connectionString: stores.url });
  await Promise.all([client.connect(), holder.connect()]);
  tenantId = (await stores.tenants.defaultTenant()).id;
  const [server] = await stores.servers.registerServers([{ url: "http://gpu:8188", slots: 9 }]);
  serverId = server!.id;
});
afterEach(async () => {
  await holder.query("ROLLBACK");
  while (!(await stores.jobRuns.passOnEnds(100)).isDone);
  expect(await brokenDependencies(client)).toEqual([]);
});
afterAll(async () => {
  await Promise.all([client.end(), holder.end()]);
  await stores.close();
});

async function insert(jobs: NewJob[], batchId: string | null = null): Promise<Job[]> {
  const batch = batchId === null ? null : { id: batchId, name: null };
  const all: Job[] = [];
  if (batch !== null) return await stores.jobRequests.insertJobs({ tenantId, batch, jobs });
  for (const job of jobs)
    all.push(...(await stores.jobRequests.insertJobs({ tenantId, batch, jobs: [job] })));
  return all;
}

/** A job that needs these. */
const after = (...needs: { id: string }[]): NewJob => buildJob({ dependsOn: needs.map(({ id }) => id) });

async function claim(jobId: string, attempt = 1): Promise<LeasedJob | undefined> {
  const by = { serverId, workerId: "worker-a", clientId: "client-a", promptId: uuidv7() };
  return (
    await stores.jobRuns.claimJobs(
      [{ jobId, attempt, ticketNumber: await ticketNumberOf(jobId), ...by }],
      60_000,
    )
  )[0];
}

async function ticketNumberOf(jobId: string): Promise<number> {
  return (await read(jobId)).ticketNumber;
}

async function end(jobId: string, how: AttemptEnd, attempt = 1) {
  const leased = await claim(jobId, attempt);
  if (leased === undefined) throw new Error(`Job ${jobId} could not be claimed.`);
  return await endLeased(leased, how);
}

async function endLeased(leased: LeasedJob, how: AttemptEnd) {
  const result = await stores.jobRuns.endAttempt(leased, how);
  if (!result.held) throw new Error("The lease was lost.");
  return result;
}

const completed: AttemptEnd = { kind: "completed", outputs: [] };
const failed: AttemptEnd = { kind: "failed", failure: buildFailure() };

async function read(id: string): Promise<Job> {
  const job = await stores.jobRuns.findJob(id);
  if (job === null || job === "removed") throw new Error(`Job ${id} is not there.`);
  return job;
}

const statusesOf = async (...jobs: { id: string }[]): Promise<string[]> =>
  await Promise.all(jobs.map(async ({ id }) => (await read(id)).status));

/** Resolves when so many statements wait for locks. */
async function waiting(count: number): Promise<void> {
  const blocked = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  for (let look = 0; ((await client.query(blocked)).rowCount ?? 0) < count; look += 1) {
    if (look === 1_000) throw new Error(`${count} statements were to wait for locks.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("A job that depends on others", () => {
  test("waits for all of them, and is ready when the last one completes", async () => {
    const [one, other] = await insert([buildJob(), buildJob()]);
    const [dependent] = await insert([after(one!, other!)]);
    expect(dependent).toMatchObject({ status: "queued", openDependencies: 2 });
    const unannounced = async (): Promise<string[]> =>
      (await stores.jobAnnouncer.listUnannounced(1_000)).map(({ jobId }) => jobId);
    expect(await unannounced()).not.toContain(dependent!.id);
    expect(await claim(dependent!.id)).toBeUndefined();
    expect((await end(one!.id, completed)).passedOn).toEqual({ released: [], failed: [] });
    expect((await end(other!.id, completed)).passedOn?.released).toMatchObject([{ id: dependent!.id }]);
    expect(await unannounced()).toContain(dependent!.id);
    expect(await claim(dependent!.id)).toMatchObject({ jobId: dependent!.id });
  });

  test("is ready at once if all of them have completed, and none of them costs its end more than one trip", async () => {
    const [one] = await insert([buildJob()]);
    expect((await end(one!.id, completed)).passedOn).toBeUndefined();
    const [dependent] = await insert([after(one!)]);
    expect(dependent).toMatchObject({ openDependencies: 0 });
    expect(await read(dependent!.id)).toMatchObject({ openDependencies: 0 });
    expect(await stores.jobReader.of(tenantId).listDependencies(dependent!.id)).toEqual([
      { jobId: one!.id, key: null, status: "completed", isMet: true },
    ]);
  });

  test("is refused when one of them has failed, is of another tenant, was removed, or never was", async () => {
    const [broken, gone] = await insert([buildJob(), buildJob()]);
    await end(broken!.id, failed);
    await end(gone!.id, failed);
    await stores.jobRequests.removeJob(gone!.id);
    const [other] = await stores.tenants.ensureTenants([`tenant-${uuidv7()}`]);
    const [foreign] = await stores.jobRequests.insertJobs({
      ...{ tenantId: other!.id, batch: null },
      jobs: [buildJob()],
    });
    const refusal = async (id: string): Promise<unknown> => {
      const error = await insert([after({ id })]).catch((reason: unknown) => reason);
      if (!(error instanceof InvalidJobError)) throw new Error("The job was accepted.");
      return error.problems.map(({ path, code, message }) => ({
        path,
        code,
        message: message.replace(id, "X"),
      }));
    };
    const ended = "dependsOn: job X is failed; retry it first, or do not depend on it.";
    expect(await refusal(broken!.id)).toEqual([
      { path: "dependsOn", code: "dependency-ended", message: ended },
    ]);
    const unknown = [{ path: "dependsOn", code: "unknown-job", message: "dependsOn: there is no job X." }];
    for (const id of [gone!.id, foreign!.id, uuidv7()]) expect(await refusal(id)).toEqual(unknown);
    await expect(insert([buildJob(), after({ id: uuidv7() })], uuidv7())).rejects.toMatchObject({
      problems: [{ path: "jobs.1.dependsOn" }],
    });
  });

  test.each(["failed", "timeout", "cancelled"] as const)(
    "fails when one of them is %s, all the way down",
    async (kind) => {
      const [first] = await insert([buildJob()]);
      const [second] = await insert([after(first!)]);
      const [third] = await insert([after(second!)]);
      const how = kind === "cancelled" ? { kind } : { kind, failure: buildFailure() };
      const { passedOn } = await end(first!.id, how);
      expect(passedOn?.failed.map(({ job, event }) => [job.id, event.type])).toEqual([
        [second!.id, "failed"],
        [third!.id, "failed"],
      ]);
      for (const { id } of [second!, third!]) {
        const { status, failure } = await read(id);
        expect([status, failure?.class, failure?.code]).toEqual([
          "failed",
          "dependency",
          "dependency-failed",
        ]);
        expect(failure?.message).toContain(first!.id);
      }
      expect(passedOn?.failed[1]?.event.data).toMatchObject({
        code: "dependency-failed",
        dependency: first!.id,
      });
    },
  );

  test("fails when one of them is cancelled while it waits, or times out in the queue", async () => {
    const [cancelled] = await insert([buildJob()]);
    const expired = await insert([buildJob({ expiresAt: new Date(Date.now() - 1_000) })]);
    const dependents = await insert([after(cancelled!), after(expired[0]!)]);
    expect(await stores.jobRequests.requestCancel(cancelled!.id)).toMatchObject({
      passedOn: { failed: [{ job: { id: dependents[0]!.id } }] },
    });
    await stores.jobRuns.expireQueued(100);
    expect((await stores.jobRuns.passOnEnds(100)).failed).toMatchObject([{ job: { id: dependents[1]!.id } }]);
    expect(await statusesOf(...dependents)).toEqual(["failed", "failed"]);
  });

  test("of another batch fails when the batch of the needed one is cancelled; those of the same batch are cancelled", async () => {
    const batchId = uuidv7();
    const first = buildJob();
    const [one, two] = await insert([first, after(first)], batchId);
    const [outside] = await insert([after(two!)]);
    const result = await stores.jobRequests.cancelBatch(batchId);
    expect(result.cancelled.map(({ job }) => job.id)).toEqual([one!.id, two!.id]);
    expect(result.passedOn.failed.map(({ job }) => job.id)).toEqual([outside!.id]);
    expect(await statusesOf(one!, two!, outside!)).toEqual(["cancelled", "cancelled", "failed"]);
  });
});

describe("A file that a job reads of another one", () => {
  const reading = (from: string, name: string): NewJob =>
    buildJob({ dependsOn: [from], inputs: [{ name, from, output: 0, kind: "image" }] });

  test("is known to the attempt, whether the other job completes before or after the acceptance", async () => {
    const [early] = await insert([buildJob()]);
    const [late] = await insert([buildJob()]);
    const output = buildOutput();
    await end(early!.id, { kind: "completed", outputs: [output] });
    const [one] = await insert([reading(early!.id, "a.png")]);
    const [two] = await insert([reading(late!.id, "b.png")]);
    await end(late!.id, {
      kind: "completed",
      outputs: [buildOutput({ kind: "text", filename: null, storageKey: null, text: "x" })],
    });
    const { storageKey, sha256, mediaType, filename, bytes } = output;
    expect((await claim(one!.id))?.inputs).toEqual([
      {
        ...{ name: "a.png", from: early!.id, output: 0, kind: "image" },
        file: { storageKey, sha256, mediaType, filename, bytes },
      },
    ]);
    expect((await claim(two!.id))?.inputs).toMatchObject([{ name: "b.png", file: null }]);
  });

  test("stays when the other job is removed, and goes with the last job that reads it", async () => {
    const [source] = await insert([buildJob()]);
    const readers = await insert([reading(source!.id, "a.png"), reading(source!.id, "a.png")]);
    const output = buildOutput();
    await end(source!.id, { kind: "completed", outputs: [output, buildOutput({ index: 1 })] });
    for (const { id } of readers) await end(id, failed);
    const keptFiles = [output.storageKey];
    expect(await stores.jobRequests.removeJob(source!.id)).toMatchObject({ keptFiles });
    const removed: string[] = [];
    const removeFiles = async (): Promise<string[]> => {
      await client.query("UPDATE files_to_remove SET due_at = now() - interval '1 day'");
      await stores.keeping.removeUploadFiles(100, (keys) => Promise.resolve(void removed.push(...keys)));
      return removed;
    };
    await stores.jobRequests.removeJob(readers[0]!.id);
    expect(await removeFiles()).toEqual([]);
    await stores.jobRequests.removeJob(readers[1]!.id);
    expect(await removeFiles()).toEqual(keptFiles);
    await client.query("UPDATE pending_removals SET due_at = now() - interval '1 day'");
    const pending = await stores.keeping.listPendingRemovals(1_000);
    expect(pending.filter(({ keptFiles: files }) => files.length > 0)).toEqual([]);
  });
});

describe("A retry", () => {
  test("queues what failed because of the job again, with the times that it was given", async () => {
    const runAt = new Date(Date.now() + 3_600_000);
    const [first] = await insert([buildJob()]);
    const [second] = await insert([buildJob({ dependsOn: [first!.id], expiresAt: runAt })]);
    const [third] = await insert([after(second!)]);
    await end(first!.id, failed);
    expect(await stores.jobRequests.retryJob(first!.id)).toMatchObject({ status: "queued" });
    expect(await statusesOf(first!, second!, third!)).toEqual(["queued", "queued", "queued"]);
    expect(await read(second!.id)).toMatchObject({ openDependencies: 1, failure: null, expiresAt: runAt });
    const [event] = (await stores.jobReader.of(tenantId).listEvents(third!.id, 0, 10)).slice(-1);
    expect(event).toMatchObject({
      type: "retry_requested",
      data: { from: "failed", dependency: second!.id },
    });
    await end(first!.id, completed, 2);
    expect(await claim(second!.id)).toBeDefined();
  });

  test("leaves what needs another job that stays failed, until that one is retried, too", async () => {
    const [one, other] = await insert([buildJob(), buildJob()]);
    const [both] = await insert([after(one!, other!)]);
    await end(one!.id, failed);
    await end(other!.id, failed);
    await stores.jobRequests.retryJob(one!.id);
    expect(await statusesOf(one!, both!)).toEqual(["queued", "failed"]);
    const refused = stores.jobRequests.retryJob(both!.id);
    await expect(refused).rejects.toThrow(NeededJobEndedError);
    await expect(refused).rejects.toThrow(other!.id);
    await stores.jobRequests.retryJob(other!.id);
    expect(await statusesOf(other!, both!)).toEqual(["queued", "queued"]);
  });

  test("of a batch takes its chains as wholes, and leaves what needs a job outside that stays failed", async () => {
    const [outside] = await insert([buildJob()]);
    const batchId = uuidv7();
    const first = buildJob();
    const jobs = await insert([first, after(first), after(outside!)], batchId);
    await end(first.id, failed);
    await end(outside!.id, failed);
    expect(await statusesOf(...jobs)).toEqual(["failed", "failed", "failed"]);
    const retried = await stores.jobRequests.retryBatch(batchId);
    expect(retried.map(({ id }) => id).toSorted()).toEqual([jobs[0]!.id, jobs[1]!.id]);
    expect(await statusesOf(...jobs)).toEqual(["queued", "queued", "failed"]);
  });

  test("does not bring back what needs secret extra data again; a retry of its own does", async () => {
    const [first] = await insert([buildJob()]);
    const [second] = await insert([
      buildJob({ dependsOn: [first!.id], sealedExtraData: Buffer.from("sealed") }),
    ]);
    await end(first!.id, failed);
    await stores.jobRequests.retryJob(first!.id);
    expect(await statusesOf(second!)).toEqual(["failed"]);
    await stores.jobRequests.retryJob(second!.id, () => Buffer.from("sealed anew"));
    expect(await read(second!.id)).toMatchObject({ status: "queued", openDependencies: 1 });
  });
});

describe("At the same time", () => {
  test("two ends of jobs that one job needs are both counted, and one of them releases it", async () => {
    const [one, other] = await insert([buildJob(), buildJob()]);
    const [dependent] = await insert([after(one!, other!)]);
    const leases = [await claim(one!.id), await claim(other!.id)];
    await holder.query("BEGIN");
    await holder.query("SELECT FROM jobs WHERE id = $1 FOR UPDATE", [dependent!.id]);
    const ends = leases.map((leased) => endLeased(leased!, completed));
    await waiting(2);
    await holder.query("COMMIT");
    const released = (await Promise.all(ends)).map(({ passedOn }) => passedOn?.released.length);
    expect(released.toSorted()).toEqual([0, 1]);
    expect(await read(dependent!.id)).toMatchObject({ openDependencies: 0 });
  });

  test.each([
    ["completes", completed, "queued"],
    ["fails", failed, "failed"],
  ] as const)(
    "an accept that has locked a job which %s meanwhile is not forgotten",
    async (_what, how, status) => {
      const [needed] = await insert([buildJob()]);
      const leased = await claim(needed!.id);
      // The accept takes the tenant's room last, so it waits here with the needed row locked.
      await holder.query("BEGIN");
      await holder.query("SELECT FROM tenant_usage WHERE tenant_id = $1 FOR UPDATE", [tenantId]);
      const accepting = insert([after(needed!)]);
      await waiting(1);
      const ending = endLeased(leased!, how);
      await waiting(2);
      await holder.query("COMMIT");
      const [[dependent], { passedOn }] = await Promise.all([accepting, ending]);
      expect([
        ...(passedOn?.released ?? []),
        ...(passedOn?.failed ?? []).map(({ job }) => job),
      ]).toMatchObject([{ id: dependent!.id, status }]);
    },
  );

  test("an accept that waits for a job which fails meanwhile is refused, and one that completes counts as met", async () => {
    const needed = await insert([buildJob(), buildJob()]);
    const leases = [await claim(needed[0]!.id), await claim(needed[1]!.id)];
    // A reader of the attempts' rows holds the ends between the lock of their job and their commit.
    await holder.query("BEGIN");
    await holder.query("SELECT FROM job_attempts WHERE job_id = ANY($1) FOR UPDATE", [
      needed.map(({ id }) => id),
    ]);
    const ends = [endLeased(leases[0]!, failed), endLeased(leases[1]!, completed)];
    await waiting(2);
    const accepts = Promise.allSettled([insert([after(needed[0]!)]), insert([after(needed[1]!)])]);
    await waiting(4);
    await holder.query("COMMIT");
    await Promise.all(ends);
    expect(await accepts).toMatchObject([
      { status: "rejected", reason: { problems: [{ code: "dependency-ended" }] } },
      { status: "fulfilled", value: [{ openDependencies: 0 }] },
    ]);
  });

  test.each([
    ["a retry and", ["retry", "end"]],
    ["the failure of another needed job and", ["end", "retry"]],
  ] as const)("%s the other one leave what needs both failed", async (_first, order) => {
    const [one, other] = await insert([buildJob(), buildJob()]);
    const [both] = await insert([after(one!, other!)]);
    const leased = await claim(other!.id);
    await end(one!.id, failed);
    const start = {
      retry: (): Promise<unknown> => stores.jobRequests.retryJob(one!.id),
      end: (): Promise<unknown> => endLeased(leased!, failed),
    };
    await holder.query("BEGIN");
    await holder.query("SELECT FROM jobs WHERE id = $1 FOR UPDATE", [other!.id]);
    const results = [start[order[0]]()];
    await waiting(1);
    results.push(start[order[1]]());
    await waiting(2);
    await holder.query("COMMIT");
    await Promise.all(results);
    expect(await statusesOf(one!, other!, both!)).toEqual(["queued", "failed", "failed"]);
  });

  test("two batches that depend on each other are cancelled together, again and again", async () => {
    for (let round = 0; round < 10; round += 1) {
      const [a, b] = [uuidv7(), uuidv7()];
      const heads = [buildJob(), buildJob()];
      await insert([heads[0]!, buildJob()], a);
      await insert([heads[1]!, after(heads[0]!)], b);
      const tail = await insert([after(heads[1]!)]);
      await Promise.all([stores.jobRequests.cancelBatch(a), stores.jobRequests.cancelBatch(b)]);
      expect(await statusesOf(...heads, ...tail)).toEqual(["cancelled", "cancelled", "failed"]);
    }
  });
});

describe("With many dependents", () => {
  test.each([
    ["completes", completed],
    ["fails", failed],
  ] as const)(
    "a job that %s passes its end on to 500 at once, and the sweeper to the rest",
    async (_what, how) => {
      const hub = buildJob();
      const leaves = Array.from({ length: 1_100 }, () => after(hub));
      await insert([hub, ...leaves], uuidv7());
      const { passedOn } = await end(hub.id, how);
      const told = [...(passedOn?.released ?? []), ...(passedOn?.failed ?? [])].length;
      expect(told).toBe(500);
      // Until the rest was told, retention does not take it away.
      expect(await stores.keeping.removeEnded([hub.id])).toEqual([]);
      let later = 0;
      for (;;) {
        const { released, failed: more, isDone } = await stores.jobRuns.passOnEnds(10);
        later += released.length + more.length;
        if (isDone) break;
      }
      expect(later).toBe(600);
      expect(await stores.keeping.removeEnded([hub.id])).toHaveLength(1);
      const [states] = await Promise.all([stores.jobReader.of(tenantId).listDependencies(leaves[0]!.id)]);
      expect(states).toMatchObject([{ jobId: hub.id, status: "removed", isMet: how === completed }]);
    },
  );

  test.each([
    ["completed", ["queued", "queued"]],
    ["cancelled", ["failed", "failed"]],
  ] as const)(
    "waits for no other transaction: what is below a job that is %s is told as far as it is free, the rest later",
    async (status, told) => {
      const hubs = await insert([buildJob(), buildJob(), buildJob()]);
      const [held, sibling] = await insert([after(hubs[0]!), after(hubs[0]!)]);
      const [other] = await insert([after(hubs[2]!)]);
      const [below] = await insert([after(hubs[1]!)]);
      // As by a process that dies right after its transaction.
      for (const { id } of hubs) {
        await client.query(
          `UPDATE jobs SET status = $2::job_status, phase = NULL, attempt = 1, percent = 100, finished_at = now()
           WHERE id = $1`,
          [id, status],
        );
      }
      await holder.query("BEGIN");
      await holder.query("SELECT FROM jobs WHERE id = ANY($1) FOR UPDATE", [[held!.id, hubs[1]!.id]]);
      const first = await stores.jobRuns.passOnEnds(100);
      expect(first.refused).toEqual([]);
      expect(first.locked).toEqual([hubs[1]!.id]);
      expect(await statusesOf(sibling!, other!)).toEqual(told);
      const isOpen = status === "completed" ? 1 : 0;
      for (const { id } of [sibling!, other!]) expect((await read(id)).openDependencies).toBe(1 - isOpen);
      const again = await stores.jobRuns.passOnEnds(100, first.locked);
      expect(again).toEqual({ released: [], failed: [], refused: [], locked: [hubs[0]!.id], isDone: false });
      expect(await stores.jobRuns.passOnEnds(100, [hubs[0]!.id, hubs[1]!.id])).toMatchObject({
        isDone: true,
      });
      await holder.query("ROLLBACK");
      const last = await stores.jobRuns.passOnEnds(100);
      const ids = [...last.released, ...last.failed.map(({ job }) => job)].map(({ id }) => id);
      expect(ids.toSorted()).toEqual([held!.id, below!.id].toSorted());
    },
  );

  test("a removal by request passes on what is left before it removes the job", async () => {
    const hub = buildJob();
    await insert([hub, ...Array.from({ length: 600 }, () => after(hub))], uuidv7());
    await end(hub.id, completed);
    await stores.jobRequests.removeJob(hub.id);
    const { rows } = await client.query(
      "SELECT count(*)::int AS open FROM job_dependencies WHERE needs_id = $1 AND met_at IS NULL",
      [hub.id],
    );
    expect(rows).toEqual([{ open: 0 }]);
  });
});
