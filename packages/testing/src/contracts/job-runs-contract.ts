import { v7 as uuidv7 } from "uuid";
import { type LeasedJob } from "@genga/jobs";
import { buildJob, buildProgress } from "../job-builders.ts";
import { type ContractStores, type TestRunner } from "./contract-stores.ts";
import { leaseMs, prepareJobs, requeue } from "./prepare-jobs.ts";

/**
 * What every `JobRuns` must do while attempts run; `describeAttemptEnds` covers how they end. Registers the tests;
 * `open` returns stores over an empty, migrated database.
 */
export function describeJobRuns(runner: TestRunner, open: () => Promise<ContractStores>): void {
  const { describe, expect, test } = runner;
  const { freshTenant, freshServer, insert, claim, running, read, history, types, stores } = prepareJobs(
    runner,
    open,
  );

  describe("claiming", () => {
    test("starts an attempt with a prompt id of its own, and records its worker in the history", async () => {
      const job = await insert(buildJob());
      const serverId = await freshServer();
      const [lease] = await claim(job, 1, serverId);
      expect(lease).toMatchObject({
        ...{ jobId: job.id, attempt: 1, leaseNumber: 1, serverId, clientId: "client-a" },
        ...{ executionElapsedMs: null, expiresInMs: null },
        job: { status: "processing", phase: "waiting", serverId, promptId: lease?.promptId },
      });
      expect((await history(job.id)).at(-1)).toMatchObject({
        ...{ type: "claimed", sequence: 2, attempt: 1 },
        data: { serverId, workerId: "worker-a" },
      });
    });

    test("lets exactly one of many claims of the next attempt succeed", async () => {
      const job = await insert(buildJob());
      const serverId = await freshServer();
      expect(await claim(job, 0, serverId)).toEqual([]);
      expect(await claim(job, 2, serverId)).toEqual([]);
      const results = await Promise.all(Array.from({ length: 8 }, () => claim(job, 1, serverId)));
      expect(results.flat()).toHaveLength(1);
      expect(await types(job.id)).toEqual(["accepted", "claimed"]);
    });

    test("returns the successful ones of many claims, in the order of the claims", async () => {
      const tenantId = await freshTenant();
      const serverId = await freshServer();
      const jobs = [await insert(buildJob(), tenantId), await insert(buildJob(), tenantId)];
      const [first, second] = jobs;
      if (first === undefined || second === undefined) throw new Error("unreachable");
      const claimOf = (jobId: string, attempt = 1) => ({
        ...{ jobId, attempt, ticketNumber: 0, serverId, workerId: "w", clientId: "c", promptId: uuidv7() },
      });
      const won = await stores().jobRuns.claimJobs(
        [claimOf(second.id), claimOf(uuidv7()), claimOf(first.id), claimOf(first.id, 2)].slice(0, 3),
        leaseMs,
      );
      expect(won.map(({ jobId }) => jobId)).toEqual([second.id, first.id]);
      expect(await stores().jobRuns.claimJobs([claimOf(first.id), claimOf(second.id, 2)], leaseMs)).toEqual(
        [],
      );
    });

    test("claims while the same row is being marked as announced", async () => {
      const serverId = await freshServer();
      for (let round = 0; round < 10; round += 1) {
        const job = await insert(buildJob());
        const marked = stores().jobAnnouncer.markEnqueued([{ jobId: job.id, attempt: 1, ticketNumber: 0 }]);
        const [won] = await Promise.all([claim(job, 1, serverId), marked]);
        expect(won).toHaveLength(1);
      }
    });
  });

  describe("a queue deadline", () => {
    const past = (): Date => new Date(Date.now() - 60_000);
    const future = (): Date => new Date(Date.now() + 600_000);

    test("that has passed ends a queued job as timed out, and no other", async () => {
      const late = await insert(buildJob({ expiresAt: past() }));
      const early = await insert(buildJob({ expiresAt: future() }));
      expect(
        await stores().jobRuns.readCandidates([{ jobId: late.id, attempt: 1, ticketNumber: 0 }]),
      ).toEqual([]);
      const ended = (await stores().jobRuns.expireQueued(1_000)).map(({ job }) => job.id);
      expect(ended).toContain(late.id);
      expect(ended).not.toContain(early.id);
      expect(await read(late.id)).toMatchObject({
        status: "timeout",
        failure: { class: "deadline", code: "expired" },
      });
      expect((await history(late.id)).at(-1)).toMatchObject({ type: "timeout" });
    });

    test("is given to the worker that claims the job, by the database's clock", async () => {
      const job = await insert(buildJob({ expiresAt: future() }));
      const [lease] = await claim(job, 1, await freshServer());
      expect(lease?.expiresInMs).toBeGreaterThan(500_000);
      expect(lease?.expiresInMs).toBeLessThanOrEqual(600_000);
    });
  });

  describe("attempts", () => {
    test("are listed with their servers, outcomes and failures, and found by their prompts once they have ended", async () => {
      const serverId = await freshServer();
      const first = await running({ serverId });
      expect(await stores().jobRuns.findEndedPrompts(serverId, [first.promptId])).toEqual([]);
      await stores().jobRuns.endAttempt(first, requeue());
      expect(await stores().jobRuns.findEndedPrompts(serverId, [first.promptId, uuidv7()])).toEqual([
        first.promptId,
      ]);
      expect(await stores().jobRuns.findEndedPrompts(await freshServer(), [first.promptId])).toEqual([]);
      const attempts = await stores().jobRuns.listAttempts(first.jobId);
      expect(attempts).toMatchObject([{ number: 1, promptId: first.promptId, outcome: "requeued" }]);
      expect(attempts[0]?.failure).not.toBeNull();
      expect(attempts[0]?.serverUrl).toMatch(/^http/);
    });

    test("of a removed job are found by their prompts for a server that was away when they ended", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId });
      await stores().jobRuns.endAttempt(lease, requeue());
      await stores().jobRequests.requestCancel(lease.jobId);
      await stores().jobRequests.removeJob(lease.jobId);
      expect(await stores().jobRuns.findEndedPrompts(serverId, [lease.promptId])).toEqual([lease.promptId]);
      expect(await stores().jobRuns.findEndedPrompts(await freshServer(), [lease.promptId])).toEqual([]);
    });
  });

  describe("holding a lease", () => {
    test("renews all at once, and says which jobs are to be cancelled", async () => {
      const [kept, asked] = [await running(), await running()];
      await stores().jobRequests.requestCancel(asked.jobId);
      const result = await stores().jobRuns.renewLeases([kept, asked], leaseMs);
      expect(result.held.map(({ jobId }) => jobId).sort()).toEqual([kept.jobId, asked.jobId].sort());
      expect(result.cancelRequested).toEqual([asked.jobId]);
    });

    test("renews an expired lease that no worker took, but not one that was taken", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: 0 });
      expect((await stores().jobRuns.renewLeases([lease], 0)).held).toHaveLength(1);
      const [adopted] = await stores().jobRuns.adoptJobs([serverId], "worker-b", leaseMs);
      expect(adopted).toMatchObject({ jobId: lease.jobId, attempt: 1, leaseNumber: 2 });
      const nothing = { held: [], cancelRequested: [], takeBackAsked: [] };
      expect(await stores().jobRuns.renewLeases([lease], leaseMs)).toEqual(nothing);
    });

    test("adopts a released job at once, with everything that its last owner had recorded", async () => {
      const serverId = await freshServer();
      const posted = await running({ serverId });
      const waiting = await running({ serverId });
      const elsewhere = await running();
      await stores().jobRuns.recordProgress([{ ...posted, phase: "executing", progress: buildProgress(10) }]);
      expect(await stores().jobRuns.adoptJobs([serverId], "worker-b", leaseMs)).toEqual([]);
      await stores().jobRuns.releaseLeases([posted, waiting, elsewhere]);
      const adopted = await stores().jobRuns.adoptJobs([serverId], "worker-b", leaseMs);
      expect(adopted.map(({ jobId }) => jobId)).toEqual([posted.jobId, waiting.jobId]);
      expect(adopted[0]).toMatchObject({
        ...{ attempt: 1, leaseNumber: 2, promptId: posted.promptId, clientId: posted.clientId },
        ...{ workflow: posted.workflow, job: { phase: "executing", progress: { percent: 10 } } },
      });
      expect(adopted[0]?.executionElapsedMs).toBeGreaterThanOrEqual(0);
      expect(adopted[1]).toMatchObject({ executionElapsedMs: null });
      expect((await history(posted.jobId)).at(-1)).toMatchObject({
        type: "adopted",
        data: { workerId: "worker-b", serverId },
      });
      expect(await stores().jobRuns.adoptJobs([serverId], "worker-c", leaseMs)).toEqual([]);
    });

    test("adopts on several servers in one statement, and on no other server", async () => {
      const serverIds = [await freshServer(), await freshServer()];
      const jobs: LeasedJob[] = [];
      for (const serverId of [...serverIds, await freshServer()]) {
        jobs.push(await running({ serverId, leaseMs: 0 }));
      }
      const adopted = await stores().jobRuns.adoptJobs(serverIds, "worker-b", leaseMs);
      expect(new Map(adopted.map((leased) => [leased.jobId, leased.serverId]))).toEqual(
        new Map(jobs.slice(0, 2).map((leased) => [leased.jobId, leased.serverId])),
      );
      expect(await stores().jobRuns.adoptJobs([], "worker-b", leaseMs)).toEqual([]);
    });
  });

  describe("progress", () => {
    test("only advances: phases, percentages, and one event for each new phase", async () => {
      const lease = await running();
      const report = (phase: "waiting" | "submitted" | "executing" | "saving", percent: number) =>
        stores().jobRuns.recordProgress([{ ...lease, phase, progress: buildProgress(percent) }]);
      expect(await report("waiting", 0)).toEqual([]);
      expect(await report("submitted", 0)).toMatchObject([{ type: "submitted", sequence: 3 }]);
      expect(await report("executing", 40)).toMatchObject([{ type: "executing", sequence: 4, attempt: 1 }]);
      expect(await report("executing", 30)).toEqual([]);
      expect(await read(lease.jobId)).toMatchObject({
        ...{ phase: "executing", progress: { percent: 40, step: 4, steps: 20, nodeTitle: "KSampler" } },
      });
      expect((await read(lease.jobId)).startedAt).not.toBeNull();
      expect(await report("submitted", 90)).toEqual([]);
      expect(await read(lease.jobId)).toMatchObject({ phase: "executing", progress: { percent: 40 } });
      expect(await report("saving", 100)).toMatchObject([{ type: "saving" }]);
      expect(await types(lease.jobId)).toEqual(["accepted", "claimed", "submitted", "executing", "saving"]);
    });

    test("is written for many jobs in one statement, whatever odd numbers a server sends", async () => {
      const [one, two] = [await running(), await running()];
      const odd = buildProgress(Number.NaN, {
        step: 1.5,
        steps: Infinity,
        nodesDone: 1e12,
        nodesTotal: null,
        remainingLowMs: 1e300,
        remainingHighMs: 1_234.5,
      });
      await stores().jobRuns.recordProgress([
        { ...one, phase: "submitted", progress: buildProgress(120) },
        { ...two, phase: "submitted", progress: odd },
      ]);
      expect((await read(one.jobId)).progress.percent).toBe(100);
      expect((await read(two.jobId)).progress).toMatchObject({
        ...{ percent: 0, step: 1, steps: null, nodesDone: null, nodesTotal: null },
        ...{ remainingLowMs: null, remainingHighMs: 1_234 },
      });
    });

    test("begins at 0 with the next attempt, while the time of the first start stays", async () => {
      const lease = await running();
      await stores().jobRuns.recordProgress([{ ...lease, phase: "executing", progress: buildProgress(70) }]);
      const { startedAt } = await read(lease.jobId);
      await stores().jobRuns.endAttempt(lease, requeue());
      expect(await read(lease.jobId)).toMatchObject({
        phase: "waiting",
        progress: { percent: 0, node: null },
      });
      const [second] = await claim(lease.job, 2, await freshServer());
      if (second === undefined) throw new Error("The job could not be claimed again.");
      await stores().jobRuns.recordProgress([{ ...second, phase: "executing", progress: buildProgress(5) }]);
      expect(await read(lease.jobId)).toMatchObject({ startedAt, progress: { percent: 5 } });
    });
  });

  describe("jobs without a live worker", () => {
    const requeued = async (graceMs: number, lease: LeasedJob) =>
      (await stores().jobRuns.requeueAbandoned(graceMs)).filter(({ job }) => job.id === lease.jobId);

    test("are requeued, uncharged, once their lease and their server's lease have expired", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: 0 });
      expect(await requeued(60_000, lease)).toEqual([]);
      expect(await requeued(0, lease)).toMatchObject([
        {
          job: { status: "queued", attemptsCharged: 0, leaseNumber: 2, failure: { class: "server" } },
          event: { type: "requeued", attempt: 1 },
        },
      ]);
      expect(await requeued(0, lease)).toEqual([]);
      expect(await stores().jobRuns.endAttempt(lease, requeue())).toEqual({ held: false });
    });

    test("stay with a server that has an owner, who will adopt them", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: 0 });
      await stores().servers.acquireServers("worker-b", [serverId], 1, leaseMs);
      expect(await requeued(0, lease)).toEqual([]);
      const held = await running({ serverId: await freshServer() });
      expect(await requeued(0, held)).toEqual([]);
    });

    test("stay while their server's lease has just run out: its worker may only be late", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: -120_000 });
      await stores().servers.acquireServers("worker-b", [serverId], 1, 0);
      expect(await requeued(60_000, lease)).toEqual([]);
      await stores().servers.acquireServers("worker-b", [serverId], 1, -60_000);
      expect(await requeued(60_000, lease)).toMatchObject([{ job: { status: "queued" } }]);
    });

    test("are cancelled if that was requested", async () => {
      const lease = await running({ leaseMs: 0 });
      await stores().jobRequests.requestCancel(lease.jobId);
      expect(await requeued(0, lease)).toMatchObject([
        { job: { status: "cancelled" }, event: { type: "cancelled" } },
      ]);
    });
  });
}
