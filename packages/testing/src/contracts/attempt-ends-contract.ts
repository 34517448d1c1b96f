import { v7 as uuidv7 } from "uuid";
import { AttemptRecorder, type AttemptEnd, type Job, type JobLease } from "@genga/jobs";
import { buildFailure, buildOutput, buildProgress } from "../job-builders.ts";
import { type ContractStores, type TestRunner } from "./contract-stores.ts";
import { leaseMs, prepareJobs, requeue } from "./prepare-jobs.ts";

/**
 * What every `JobRuns` must do when attempts end. Registers the tests; `open` returns stores over an empty, migrated
 * database.
 */
export function describeAttemptEnds(runner: TestRunner, open: () => Promise<ContractStores>): void {
  const { describe, expect, test } = runner;
  const { freshServer, claim, running, read, readerOf, history, types, stores } = prepareJobs(runner, open);

  describe("ending an attempt", () => {
    test("stores outputs, status and event together", async () => {
      const lease = await running();
      const outputs = [
        buildOutput(),
        buildOutput({
          ...{ index: 1, kind: "text", filename: null, storageKey: null, bytes: 5 },
          ...{ mediaType: "text/plain", width: null, height: null, text: "1girl\0" },
        }),
      ];
      const result = await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs });
      expect(result).toMatchObject({
        ...{ held: true, status: "completed", event: { type: "completed", data: { outputs: 2 } } },
        job: { status: "completed", phase: null, progress: { percent: 100 }, cancelTooLate: false },
      });
      const stored = await readerOf(lease.jobId).listOutputs(lease.jobId);
      expect(stored).toMatchObject([
        { ...outputs[0], jobId: lease.jobId, attempt: 1 },
        { ...outputs[1], text: "1girl\ufffd" },
      ]);
      expect(await readerOf(lease.jobId).findOutput(stored[0]?.id ?? "")).toEqual(stored[0]);
      expect((await read(lease.jobId)).finishedAt).not.toBeNull();
    });

    test("keeps the warnings of a completed job, in the job and in the event", async () => {
      const lease = await running();
      const warnings = ["Node 3 was blocked: \0", `{"quoted", and 'so'}`];
      const stored = ["Node 3 was blocked: \ufffd", `{"quoted", and 'so'}`];
      const result = await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [], warnings });
      expect(result).toMatchObject({
        job: { status: "completed", warnings: stored },
        event: { data: { outputs: 0, warnings: stored } },
      });
      expect(await read(lease.jobId)).toMatchObject({ warnings: stored });
    });

    test.each<["failed" | "timeout"]>([["failed"], ["timeout"]])("keeps the reason of %s", async (kind) => {
      const lease = await running();
      const failure = buildFailure({ nodeId: "3", nodeType: "KSampler", traceback: ["line 1", "line 2"] });
      await stores().jobRuns.endAttempt(lease, { kind, failure });
      const { traceback, ...shown } = failure;
      expect(await read(lease.jobId)).toMatchObject({ status: kind, phase: null, failure: shown });
      expect((await history(lease.jobId)).at(-1)).toMatchObject({
        type: kind,
        data: { ...shown, traceback },
      });
    });

    test("is completed, and too late to cancel, when success came after the request", async () => {
      const lease = await running();
      await stores().jobRequests.requestCancel(lease.jobId);
      const result = await stores().jobRuns.endAttempt(lease, {
        kind: "completed",
        outputs: [buildOutput()],
      });
      expect(result).toMatchObject({ held: true, job: { status: "completed", cancelTooLate: true } });
    });

    test("shows the reason of a requeue until the next claim", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId });
      const end = requeue({ delayMs: 0, charged: true, counts: "outOfMemory", avoidServer: true });
      const result = await stores().jobRuns.endAttempt(lease, end);
      expect(result).toMatchObject({
        ...{ held: true, status: "queued" },
        event: {
          type: "requeued",
          data: { code: "server-lost", message: "The server went away.", delayMs: 0 },
        },
        job: {
          ...{ status: "queued", phase: "waiting", attempt: 1, attemptsCharged: 1, outOfMemoryCount: 1 },
          ...{ crashCount: 0, serverId: null, promptId: null, enqueuedAt: null, finishedAt: null },
          failure: { class: "server", code: "server-lost" },
        },
      });
      const [candidate] = await stores().jobRuns.readCandidates([
        { jobId: lease.jobId, attempt: 2, ticketNumber: 0 },
      ]);
      expect(candidate).toMatchObject({ avoidServerId: serverId });
      const [second] = await claim(lease.job, 2, serverId);
      expect(second).toMatchObject({ attempt: 2, leaseNumber: 2, job: { failure: null } });
      expect(second?.promptId).not.toBe(lease.promptId);
    });

    test("announces a job at once that is queued again without a delay; a delayed one is left to the sweeper", async () => {
      const announced: Job[] = [];
      const recorder = new AttemptRecorder({
        runs: stores().jobRuns,
        signals: { publish: () => undefined },
        announce: (jobs) => announced.push(...jobs),
      });
      const [given, delayed, completed] = [await running(), await running(), await running()];
      await recorder.end(given, requeue({ delayMs: 0 }));
      await recorder.end(delayed, requeue({ delayMs: 1_000 }));
      await recorder.end(completed, { kind: "completed", outputs: [] });
      expect(announced).toMatchObject([{ id: given.jobId, status: "queued", attempt: 1, runAt: null }]);
    });

    test("turns a requeue into a cancellation if one was requested", async () => {
      const lease = await running();
      await stores().jobRequests.requestCancel(lease.jobId);
      const result = await stores().jobRuns.endAttempt(lease, requeue());
      expect(result).toMatchObject({
        ...{ held: true, status: "cancelled", event: { type: "cancelled" } },
        job: { status: "cancelled", failure: null, runAt: null },
      });
    });

    test("answers a repeated end with what was recorded, so that a lost answer loses no job", async () => {
      const output = buildOutput();
      for (const end of [
        { kind: "completed", outputs: [output] },
        { kind: "failed", failure: buildFailure() },
        { kind: "cancelled" },
        requeue(),
      ] satisfies AttemptEnd[]) {
        const lease = await running();
        const first = await stores().jobRuns.endAttempt(lease, end);
        const events = await history(lease.jobId);
        expect(await stores().jobRuns.endAttempt(lease, end)).toEqual(first);
        expect(await history(lease.jobId)).toEqual(events);
      }
    });

    test("answers a repeated requeue even when the next attempt runs already", async () => {
      const lease = await running();
      await stores().jobRuns.endAttempt(lease, requeue());
      await claim(lease.job, 2, await freshServer());
      expect(await stores().jobRuns.endAttempt(lease, requeue())).toMatchObject({
        ...{ held: true, status: "queued", event: { type: "requeued", attempt: 1 } },
        job: { status: "processing", attempt: 2 },
      });
    });

    test("does not mistake another worker's end for its own", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: 0 });
      const [adopted] = await stores().jobRuns.adoptJobs([serverId], "worker-b", leaseMs);
      if (adopted === undefined) throw new Error("The job was not adopted.");
      await stores().jobRuns.endAttempt(adopted, { kind: "completed", outputs: [] });
      expect(await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({
        held: false,
      });
      expect(await stores().jobRuns.endAttempt(adopted, { kind: "cancelled" })).toEqual({ held: false });
    });

    test("has one outcome when ends, a cancel request and a take-over race", async () => {
      for (let round = 0; round < 10; round += 1) {
        const serverId = await freshServer();
        const lease = await running({ serverId, leaseMs: 0 });
        const [done, failed] = await Promise.all([
          stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [buildOutput()] }),
          stores().jobRuns.endAttempt(lease, { kind: "failed", failure: buildFailure() }),
          stores().jobRequests.requestCancel(lease.jobId),
          stores().jobRuns.adoptJobs([serverId], "worker-b", leaseMs),
        ]);
        const job = await read(lease.jobId);
        const ends = (await types(lease.jobId)).filter((type) => type === "completed" || type === "failed");
        expect(ends).toEqual(job.status === "processing" ? [] : [job.status]);
        expect(done.held && failed.held).toBe(false);
        expect(await readerOf(lease.jobId).listOutputs(lease.jobId)).toHaveLength(
          job.status === "completed" ? 1 : 0,
        );
      }
    });
  });

  describe("the fence of writes to a running job", () => {
    const stale: [string, (lease: JobLease) => JobLease][] = [
      ["an earlier attempt", (lease) => ({ ...lease, attempt: lease.attempt - 1 })],
      ["a later attempt", (lease) => ({ ...lease, attempt: lease.attempt + 1 })],
      ["an earlier lease", (lease) => ({ ...lease, leaseNumber: lease.leaseNumber - 1 })],
      ["a later lease", (lease) => ({ ...lease, leaseNumber: lease.leaseNumber + 1 })],
      ["another job", (lease) => ({ ...lease, jobId: uuidv7() })],
    ];

    test.each(stale)("lets no write with %s change anything", async (_, forge) => {
      const serverId = await freshServer();
      const first = await running({ serverId, leaseMs: 0 });
      await stores().jobRuns.endAttempt(first, requeue());
      await claim(first.job, 2, serverId, 0);
      const [lease] = await stores().jobRuns.adoptJobs([serverId], "worker-b", leaseMs);
      if (lease === undefined) throw new Error("The job was not adopted.");
      const before = [await read(lease.jobId), await history(lease.jobId)];

      const forged = forge(lease);
      expect(await stores().jobRuns.renewLeases([forged], leaseMs)).toEqual({
        held: [],
        cancelRequested: [],
        takeBackAsked: [],
      });
      expect(
        await stores().jobRuns.recordProgress([{ ...forged, phase: "saving", progress: buildProgress(99) }]),
      ).toEqual([]);
      for (const end of [
        { kind: "completed", outputs: [buildOutput()] },
        { kind: "failed", failure: buildFailure() },
        { kind: "timeout", failure: buildFailure() },
        { kind: "cancelled" },
        requeue(),
      ] satisfies AttemptEnd[]) {
        expect(await stores().jobRuns.endAttempt(forged, end)).toEqual({ held: false });
      }
      await stores().jobRuns.releaseLeases([forged]);

      expect([await read(lease.jobId), await history(lease.jobId)]).toEqual(before);
      expect(await readerOf(lease.jobId).listOutputs(lease.jobId)).toEqual([]);
      expect(await stores().jobRuns.adoptJobs([serverId], "worker-c", leaseMs)).toEqual([]);
    });

    test("refuses every write to a job that is not running", async () => {
      const lease = await running();
      await stores().jobRuns.endAttempt(lease, requeue());
      expect(await stores().jobRuns.renewLeases([lease], leaseMs)).toMatchObject({ held: [] });
      expect(
        await stores().jobRuns.recordProgress([{ ...lease, phase: "saving", progress: buildProgress(1) }]),
      ).toEqual([]);
      expect(await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({
        held: false,
      });
      expect(await types(lease.jobId)).toEqual(["accepted", "claimed", "requeued"]);
    });
  });
}
