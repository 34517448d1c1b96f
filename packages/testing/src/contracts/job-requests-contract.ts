import { v7 as uuidv7 } from "uuid";
import { IllegalTransitionError, InvalidJobError, type AttemptEnd } from "@genga/jobs";
import { buildFailure, buildJob, buildOutput, buildWorkflow } from "../job-builders.ts";
import { type ContractStores, type TestRunner } from "./contract-stores.ts";
import { leaseMs, prepareJobs, requeue } from "./prepare-jobs.ts";

/** What every `JobRequests` must do. Registers the tests; `open` returns stores over an empty, migrated database. */
export function describeJobRequests(runner: TestRunner, open: () => Promise<ContractStores>): void {
  const { describe, expect, test } = runner;
  const {
    freshTenant,
    freshServer,
    insertJobs,
    insert,
    insertBatch,
    claim,
    running,
    read,
    readerOf,
    history,
    types,
    stores,
  } = prepareJobs(runner, open);

  describe("accepting jobs", () => {
    test("returns them queued, in the given order, each with its first event", async () => {
      const tenantId = await freshTenant();
      const given = [0, 1, 2].map((batchIndex) => buildJob({ batchIndex, prompt: `picture ${batchIndex}` }));
      const batch = { id: uuidv7(), name: "three" };
      const jobs = await insertJobs({ tenantId, batch, jobs: given });
      const reader = stores().jobReader.of(tenantId);
      expect(jobs.map(({ id }) => id)).toEqual(given.map(({ id }) => id));
      for (const [index, job] of jobs.entries()) {
        expect(job).toMatchObject({
          ...{ tenantId, batchId: batch.id, batchIndex: index, status: "queued", phase: "waiting" },
          ...{ attempt: 0, leaseNumber: 0, eventSequence: 1, failure: null, finishedAt: null },
        });
        expect(await history(job.id)).toMatchObject([{ sequence: 1, type: "accepted", attempt: 0 }]);
        expect(await reader.findJob(job.id)).toEqual(job);
      }
      const asked = [jobs[2]!.id, uuidv7(), "no-uuid", jobs[0]!.id];
      expect(await reader.findJobs(asked)).toEqual([jobs[2], jobs[0]]);
      expect(await reader.findBatch(batch.id)).toMatchObject({
        ...{ ...batch, tenantId, total: 3 },
        counts: { queued: 3, processing: 0, completed: 0, failed: 0, timeout: 0, cancelled: 0 },
      });
    });

    test("stores nothing at all when one job of a batch is refused", async () => {
      const tenantId = await freshTenant();
      const known = await insert(buildJob(), tenantId);
      const batch = { id: uuidv7(), name: null };
      const fresh = buildJob({ batchIndex: 0 });
      const jobs = [fresh, buildJob({ id: known.id, batchIndex: 1 })];
      await expect(insertJobs({ tenantId, batch, jobs })).rejects.toThrow();
      expect(await stores().jobReader.of(tenantId).findJob(fresh.id)).toBeNull();
      expect(await stores().jobReader.of(tenantId).findBatch(batch.id)).toBeNull();
    });

    test("returns parameters and graph as they were given, also where two jobs share a graph", async () => {
      const workflow = buildWorkflow('桜の下の少女 "quoted" \\ 100% 🌸');
      const first = await insert(buildJob({ workflow, parameters: { prompt: "x", list: [1, null, true] } }));
      const second = await insert(buildJob({ workflow, parameters: null }));
      const found = await readerOf(first.id).findParameters(first.id);
      expect(found?.parameters).toEqual({ prompt: "x", list: [1, null, true] });
      expect(JSON.parse(found?.workflow ?? "")).toEqual(JSON.parse(workflow));
      expect(await readerOf(second.id).findParameters(second.id)).toEqual({
        workflow: found?.workflow,
        workflowHash: found?.workflowHash,
        extraDataText: null,
        hadSecrets: false,
        parameters: null,
        templateValues: null,
        inputs: [],
      });
    });

    test("keeps every number of a graph as it was written, whoever reads it", async () => {
      const numbers = [
        ...["18446744073709551615", "6687881544318117707", "-9007199254740993", "1.0", "1.00", "0.1", "7"],
        ...["1e5", "1E5", "-0.0", "1e-400", "1e300", "2.5e-7", `1.${"0".repeat(20_000)}`],
      ];
      for (const list of [numbers.slice(0, 7), numbers]) {
        const workflow = `{"1":{"class_type":"X","inputs":{"list":[${list.join()}]}}}`;
        const job = await insert(buildJob({ workflow, parameters: {} }));
        const found = await readerOf(job.id).findParameters(job.id);
        const [candidate] = await stores().jobRuns.readCandidates([
          { jobId: job.id, attempt: 1, ticketNumber: 0 },
        ]);
        const serverId = await freshServer();
        const [claimed] = await claim(job, 1, serverId);
        await stores().jobRuns.releaseLeases([claimed!]);
        const [adopted] = await stores().jobRuns.adoptJobs([serverId], "worker-b", leaseMs);
        for (const read of [found, candidate, claimed, adopted]) {
          expect(read?.workflow.replaceAll(/\s/g, "")).toContain(`"list":[${list.join()}]`);
        }
      }
    });

    test("keeps two graphs apart that differ in a digit which JavaScript would round", async () => {
      const seeds = ["18446744073709551615", "18446744073709551614", "1", "1.0"];
      const jobs = seeds.map((seed) =>
        buildJob({ workflow: `{"1":{"class_type":"X","inputs":{"seed":${seed}}}}` }),
      );
      for (const job of jobs) await insert(job);
      const candidates = await stores().jobRuns.readCandidates(
        jobs.map(({ id }) => ({ jobId: id, attempt: 1, ticketNumber: 0 })),
      );
      expect(new Set(candidates.map(({ workflowHash }) => workflowHash)).size).toBe(seeds.length);
      expect(candidates.map(({ workflow }) => /"seed": ?([^}]*)/.exec(workflow)?.[1])).toEqual(seeds);
    });

    test.each([
      ["NUL in a parameter", { parameters: { prompt: "a\0b" } }, "parameters"],
      ["half a surrogate pair in the graph", { workflow: buildWorkflow("a\ud83cb") }, "workflow"],
      ["NUL in a tag", { tags: ["a\0b"] }, "tags"],
    ])("refuses %s, which PostgreSQL cannot store, and says where", async (_, changes, path) => {
      const refused = insert(buildJob(changes));
      await expect(refused).rejects.toThrow(InvalidJobError);
      await expect(refused).rejects.toMatchObject({ problems: [{ path }] });
    });

    test("refuses a batch whose name PostgreSQL cannot store", async () => {
      const [tenantId, batch] = [await freshTenant(), { id: uuidv7(), name: "a\0b" }];
      const refused = insertJobs({ tenantId, batch, jobs: [buildJob()] });
      await expect(refused).rejects.toMatchObject({ code: "invalid-job", problems: [{ path: "name" }] });
      expect(await stores().jobReader.of(tenantId).findBatch(batch.id)).toBeNull();
    });

    test("keeps a text that only looks like an escape", async () => {
      const job = await insert(buildJob({ parameters: { prompt: "\\u0000 \\ud83c" } }));
      expect(await readerOf(job.id).findParameters(job.id)).toMatchObject({
        parameters: { prompt: "\\u0000 \\ud83c" },
      });
    });

    test("ranks a tenant's jobs in their order, and another tenant's first job before most of them", async () => {
      const flooding = await freshTenant();
      const flood = await insertJobs({
        tenantId: flooding,
        batch: { id: uuidv7(), name: null },
        jobs: Array.from({ length: 50 }, (_, batchIndex) => buildJob({ batchIndex })),
      });
      const ranks = flood.map(({ rank }) => rank);
      expect(ranks).toEqual(ranks.map((_, index) => (ranks[0] ?? NaN) + 16 * index));
      const late = await insert(buildJob(), await freshTenant());
      expect(late.rank).toBeLessThan(flood[5]?.rank ?? NaN);
      const next = await insert(buildJob(), flooding);
      expect(next.rank).toBeGreaterThan(ranks.at(-1) ?? NaN);
    });

    test("gives neither a new tenant nor one that comes back a rank before jobs that were already claimed", async () => {
      const [early, busy] = [await freshTenant(), await freshTenant()];
      await insert(buildJob({ priority: "low" }), early);
      const flood = await insertJobs({
        tenantId: busy,
        batch: { id: uuidv7(), name: null },
        jobs: Array.from({ length: 9 }, (_, batchIndex) => buildJob({ priority: "low", batchIndex })),
      });
      const last = flood.at(-1);
      if (last === undefined) throw new Error("Nothing was inserted.");
      expect(await claim(last, 1, await freshServer())).toHaveLength(1);
      for (const tenantId of [early, await freshTenant()]) {
        expect((await insert(buildJob({ priority: "low" }), tenantId)).rank).toBe(last.rank + 16);
      }
    });
  });

  describe("requests", () => {
    test.each([["01890000-0000-7000-8000-000000000000"], ["no-uuid"], [""]])(
      "change nothing under the id %p",
      async (id) => {
        expect(await stores().jobRequests.requestCancel(id)).toBeNull();
        expect(await stores().jobRequests.retryJob(id)).toBeNull();
        expect(await stores().jobRequests.removeJob(id)).toBeNull();
      },
    );

    test("cancels a queued job at once", async () => {
      const job = await insert(buildJob());
      expect(await stores().jobRequests.requestCancel(job.id)).toMatchObject({
        outcome: "cancelled",
        job: { status: "cancelled", phase: null, eventSequence: 2 },
        event: { type: "cancelled", sequence: 2 },
      });
      expect((await read(job.id)).finishedAt).not.toBeNull();
      expect(await stores().jobRequests.requestCancel(job.id)).toMatchObject({
        outcome: "ended",
        job: { status: "cancelled" },
      });
      expect(await types(job.id)).toEqual(["accepted", "cancelled"]);
    });

    test("only records the request on a running job, once", async () => {
      const lease = await running();
      expect(await stores().jobRequests.requestCancel(lease.jobId)).toMatchObject({
        outcome: "requested",
        job: { status: "processing" },
        event: { type: "cancel_requested" },
      });
      expect(await stores().jobRequests.requestCancel(lease.jobId)).toMatchObject({
        outcome: "requested",
        event: null,
      });
      expect(await types(lease.jobId)).toEqual(["accepted", "claimed", "cancel_requested"]);
    });

    test("are answered correctly while the job is being claimed or requeued", async () => {
      const serverId = await freshServer();
      for (let round = 0; round < 25; round += 1) {
        const job = await insert(buildJob());
        const lease = round % 2 === 0 ? null : (await claim(job, 1, serverId))[0];
        const [result] = await Promise.all([
          stores().jobRequests.requestCancel(job.id),
          lease ? stores().jobRuns.endAttempt(lease, requeue()) : claim(job, 1, serverId),
        ]);
        const after = await read(job.id);
        const expected = after.status === "processing" ? "requested" : "cancelled";
        expect(after.cancelRequestedAt).not.toBeNull();
        expect(["cancelled", "processing"]).toContain(after.status);
        if (lease === null) expect(result).toMatchObject({ outcome: expected });
      }
    });

    test.each<[string, AttemptEnd]>([
      ["failed", { kind: "failed", failure: buildFailure() }],
      ["timeout", { kind: "timeout", failure: buildFailure({ class: "deadline", code: "deadline-passed" }) }],
      ["cancelled", { kind: "cancelled" }],
    ])("retries a job that ended as %s as if it were new, keeping its history", async (_, end) => {
      const lease = await running({ job: { attemptsMax: 3 } });
      await stores().jobRuns.endAttempt(lease, end);
      const retried = await stores().jobRequests.retryJob(lease.jobId);
      expect(retried).toMatchObject({
        ...{ status: "queued", phase: "waiting", attempt: 1, attemptsCharged: 0, failure: null },
        ...{ serverId: null, promptId: null, finishedAt: null, enqueuedAt: null, runAt: null },
      });
      expect((await history(lease.jobId)).at(-1)).toMatchObject({
        type: "retry_requested",
        data: { from: end.kind },
      });
      const [second] = await claim(lease.job, 2, await freshServer());
      expect(second).toMatchObject({ attempt: 2, leaseNumber: 2 });
      expect(await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({
        held: false,
      });
    });

    test("refuses to retry what has not failed", async () => {
      const queued = await insert(buildJob());
      await expect(stores().jobRequests.retryJob(queued.id)).rejects.toThrow(IllegalTransitionError);
      const lease = await running();
      await expect(stores().jobRequests.retryJob(lease.jobId)).rejects.toThrow(IllegalTransitionError);
      await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [buildOutput()] });
      await expect(stores().jobRequests.retryJob(lease.jobId)).rejects.toThrow(IllegalTransitionError);
    });

    test("removes an ended job for ever, and records its files for removal", async () => {
      const lease = await running();
      await expect(stores().jobRequests.removeJob(lease.jobId)).rejects.toThrow(IllegalTransitionError);
      const file = buildOutput();
      const text = buildOutput({ index: 1, kind: "text", filename: null, storageKey: null, text: "1girl" });
      await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [file, text] });
      expect(await stores().jobRequests.removeJob(lease.jobId)).toEqual({
        id: lease.jobId,
        lane: "default",
        attempt: 1,
        ticketNumber: 0,
        keptFiles: [],
      });
      expect(await readerOf(lease.jobId).findJob(lease.jobId)).toBe("removed");
      expect(await stores().jobRequests.removeJob(lease.jobId)).toBe("removed");
      expect(await stores().jobRequests.requestCancel(lease.jobId)).toBe("removed");
      expect(await stores().jobRequests.retryJob(lease.jobId)).toBe("removed");
      expect(await history(lease.jobId)).toEqual([]);
      expect(await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({
        held: false,
      });
    });
  });

  describe("a whole batch", () => {
    test("is cancelled: queued jobs at once, running ones by a request to their workers, while ended ones stay", async () => {
      const jobs = await insertBatch(4);
      const serverId = await freshServer();
      const [first] = await claim(jobs[0]!, 1, serverId);
      const [second] = await claim(jobs[1]!, 1, serverId);
      await stores().jobRuns.endAttempt(second!, { kind: "completed", outputs: [] });
      const batchId = jobs[0]!.batchId!;
      const { cancelled, requested } = await stores().jobRequests.cancelBatch(batchId);
      expect(cancelled.map(({ job }) => job.id)).toEqual([jobs[2]!.id, jobs[3]!.id]);
      expect(requested.map(({ job }) => job.id)).toEqual([first!.jobId]);
      expect(await stores().jobRequests.cancelBatch(batchId)).toMatchObject({ cancelled: [], requested: [] });
      expect((await readerOf(jobs[0]!.id).findBatch(batchId))?.counts).toMatchObject({
        cancelled: 2,
        processing: 1,
        completed: 1,
      });
      expect((await history(jobs[2]!.id)).map(({ type }) => type)).toEqual(["accepted", "cancelled"]);
    });

    test("is cancelled as a whole while its jobs are being claimed and requeued", async () => {
      const serverId = await freshServer();
      for (let round = 0; round < 5; round += 1) {
        const jobs = await insertBatch(12);
        const batchId = jobs[0]?.batchId ?? "";
        const leases = (await Promise.all(jobs.slice(0, 6).map((job) => claim(job, 1, serverId)))).flat();
        const [{ cancelled, requested }] = await Promise.all([
          stores().jobRequests.cancelBatch(batchId),
          ...leases.map((lease) => stores().jobRuns.endAttempt(lease, requeue())),
          ...jobs.slice(6).map((job) => claim(job, 1, serverId)),
        ]);
        const after = await Promise.all(jobs.map(({ id }) => read(id)));
        expect(after.filter(({ cancelRequestedAt }) => cancelRequestedAt === null)).toEqual([]);
        expect(new Set([...cancelled, ...requested].map(({ job }) => job.id)).size).toBe(jobs.length);
        for (const { job, event } of cancelled) {
          expect((await history(job.id)).at(-1)).toEqual(event);
        }
      }
    });

    test("is retried: failed and timed out jobs are queued again, in their order", async () => {
      const jobs = await insertBatch(3);
      const serverId = await freshServer();
      for (const job of jobs) {
        const [lease] = await claim(job, 1, serverId);
        const kind = job === jobs[1] ? "timeout" : "failed";
        if (job !== jobs[2]) await stores().jobRuns.endAttempt(lease!, { kind, failure: buildFailure() });
        else await stores().jobRuns.endAttempt(lease!, { kind: "completed", outputs: [] });
      }
      const again = await stores().jobRequests.retryBatch(jobs[0]!.batchId!);
      expect(again.map(({ id }) => id)).toEqual([jobs[0]!.id, jobs[1]!.id]);
      expect(again).toMatchObject([
        { status: "queued", attempt: 1, failure: null, finishedAt: null },
        { status: "queued", attempt: 1, failure: null, finishedAt: null },
      ]);
    });
  });
}
