import { type TicketReference } from "@genga/jobs";
import { v7 as uuidv7 } from "uuid";
import { buildJob, buildLane, buildWorkflow } from "../job-builders.ts";
import { type ContractStores, type TestRunner } from "./contract-stores.ts";
import { prepareJobs, requeue } from "./prepare-jobs.ts";

/** What every `JobAnnouncer` must do. Registers the tests; `open` returns stores over an empty, migrated database. */
export function describeJobAnnouncer(runner: TestRunner, open: () => Promise<ContractStores>): void {
  const { describe, expect, test } = runner;
  const { freshTenant, freshServer, insert, claim, running, read, stores } = prepareJobs(runner, open);

  describe("announcing", () => {
    const among = <Item extends { jobId: string }>(items: Item[], ...jobs: { id: string }[]): Item[] =>
      items.filter(({ jobId }) => jobs.some(({ id }) => id === jobId));

    test("lists due rows without a ticket until they have one", async () => {
      const job = await insert(buildJob({ priority: "high" }));
      const ticket = { jobId: job.id, attempt: 1, ticketNumber: 0 };
      const of = { type: "image", lane: "default", priority: "high", agedBands: 0 };
      const announcement = { ...ticket, ...of, rank: job.rank };
      expect(among(await stores().jobAnnouncer.listUnannounced(10_000), job)).toEqual([announcement]);
      await stores().jobAnnouncer.markEnqueued([{ jobId: job.id, attempt: 2, ticketNumber: 0 }]);
      expect((await read(job.id)).enqueuedAt).toBeNull();
      await stores().jobAnnouncer.markEnqueued([ticket]);
      expect((await read(job.id)).enqueuedAt).not.toBeNull();
      expect(among(await stores().jobAnnouncer.listUnannounced(10_000), job)).toEqual([]);
      expect(among(await stores().jobAnnouncer.listAnnounced(null, 10_000), job)).toEqual([announcement]);
      expect(among(await stores().jobAnnouncer.listAnnounced(job.id, 10_000), job)).toEqual([]);
    });

    test("lists the best first, and no more than the limit", async () => {
      const tenantId = await freshTenant();
      const [low, urgent] = [
        await insert(buildJob({ priority: "low" }), tenantId),
        await insert(buildJob({ priority: "urgent" }), tenantId),
      ];
      const listed = among(await stores().jobAnnouncer.listUnannounced(10_000), low, urgent);
      expect(listed.map(({ jobId }) => jobId)).toEqual([urgent.id, low.id]);
      expect(await stores().jobAnnouncer.listUnannounced(1)).toHaveLength(1);
    });

    test("announces a retry only when its delay has passed", async () => {
      const [later, now] = [await running(), await running()];
      await stores().jobRuns.endAttempt(later, requeue({ delayMs: 60_000 }));
      await stores().jobRuns.endAttempt(now, requeue({ delayMs: 0 }));
      const listed = among(await stores().jobAnnouncer.listUnannounced(10_000), later.job, now.job);
      expect(listed).toMatchObject([{ jobId: now.jobId, attempt: 2, ticketNumber: 0 }]);
      const tickets = [later, now].map(({ jobId }) => ({ jobId, attempt: 2, ticketNumber: 0 }));
      expect((await stores().jobRuns.readCandidates(tickets)).map(({ jobId }) => jobId)).toEqual([now.jobId]);
      expect(await claim(later.job, 2, await freshServer())).toEqual([]);
    });

    test("knows the ticket from before a job was cancelled and queued again as stale", async () => {
      const job = await insert(buildJob());
      await stores().jobRequests.requestCancel(job.id);
      await stores().jobRequests.retryJob(job.id);
      const [stale, latest] = [0, 1].map((ticketNumber) => ({ jobId: job.id, attempt: 1, ticketNumber }));
      if (stale === undefined || latest === undefined) throw new Error("unreachable");
      expect(among(await stores().jobAnnouncer.listUnannounced(10_000), job)).toMatchObject([latest]);
      await stores().jobAnnouncer.markEnqueued([stale]);
      expect((await read(job.id)).enqueuedAt).toBeNull();
      expect(await stores().jobRuns.readCandidates([stale, latest])).toMatchObject([latest]);
      const by = { workerId: "w", clientId: "c", serverId: await freshServer() };
      const claims = [stale, latest].map((ticket) => ({ ...ticket, ...by, promptId: uuidv7() }));
      expect(await stores().jobRuns.claimJobs(claims.slice(0, 1), 60_000)).toEqual([]);
      expect(await stores().jobRuns.claimJobs(claims.slice(1), 60_000)).toHaveLength(1);
    });

    const firstTicket = ({ id }: { id: string }): TicketReference => ({
      jobId: id,
      attempt: 1,
      ticketNumber: 0,
    });

    test("forgets all tickets page by page, and none that was added after the first page", async () => {
      const { jobAnnouncer } = stores();
      const jobs = [await insert(buildJob()), await insert(buildJob()), await insert(buildJob())];
      await jobAnnouncer.markEnqueued(jobs.map(firstTicket));
      let page = await jobAnnouncer.clearEnqueued(null, 1);
      expect(page.jobs).toBe(1);
      const later = await insert(buildJob());
      await jobAnnouncer.markEnqueued([firstTicket(later)]);
      let cleared = page.jobs;
      while (page.next !== null) {
        page = await jobAnnouncer.clearEnqueued(page.next, 1);
        cleared += page.jobs;
      }
      expect(cleared).toBeGreaterThanOrEqual(3);
      expect(among(await jobAnnouncer.listUnannounced(10_000), ...jobs, later)).toHaveLength(3);
      expect((await read(later.id)).enqueuedAt).not.toBeNull();
      expect(await jobAnnouncer.clearEnqueued(null, 10)).toEqual({ jobs: 1, next: null });
    });

    test("returns, for each ticket, whether its row wants a run, and what it needs", async () => {
      const job = await insert(buildJob({ lane: buildLane("sdxl") }));
      const [cancelled, taken] = [await insert(buildJob()), await running()];
      await stores().jobRequests.requestCancel(cancelled.id);
      const candidates = await stores().jobRuns.readCandidates([
        { jobId: job.id, attempt: 1, ticketNumber: 0 },
        { jobId: job.id, attempt: 2, ticketNumber: 0 },
        { jobId: cancelled.id, attempt: 1, ticketNumber: 0 },
        { jobId: taken.jobId, attempt: 1, ticketNumber: 0 },
        { jobId: uuidv7(), attempt: 1, ticketNumber: 0 },
      ]);
      expect(candidates).toMatchObject([{ jobId: job.id, attempt: 1, lane: "sdxl", avoidServerId: null }]);
      expect(JSON.parse(candidates[0]?.workflow ?? "")).toEqual(JSON.parse(buildWorkflow()));
    });
  });
}
