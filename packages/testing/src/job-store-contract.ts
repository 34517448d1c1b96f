import type * as Jest from "@jest/globals";
import { v7 as uuidv7 } from "uuid";
import {
  IllegalTransitionError,
  InvalidJobError,
  type AttemptEnd,
  type Job,
  type JobEvent,
  type JobLease,
  type JobStore,
  type LeasedJob,
  type NewJob,
  type ServerStore,
  type TenantStore,
} from "@genga/jobs";
import { buildFailure, buildJob, buildOutput, buildProgress, buildWorkflow } from "./job-builders.ts";

/** Handed in rather than imported: benchmarks use this package too, and Jest's own module only loads inside Jest. */
export type TestRunner = Pick<typeof Jest, "beforeAll" | "afterAll" | "describe" | "expect" | "test">;

export interface ContractStores {
  jobs: JobStore;
  servers: ServerStore;
  tenants: TenantStore;
  close(): Promise<void>;
}

const leaseMs = 60_000;

/** What every `JobStore` owes its callers. Registers the tests; `open` gives stores over an empty, migrated database. */
export function describeJobStore(runner: TestRunner, open: () => Promise<ContractStores>): void {
  const { afterAll, beforeAll, describe, expect, test } = runner;
  let stores: ContractStores;
  let store: JobStore;

  beforeAll(async () => {
    stores = await open();
    store = stores.jobs;
  });
  afterAll(async () => {
    await stores.close();
  });

  const freshTenant = async (): Promise<string> => {
    const name = `tenant-${uuidv7()}`;
    const [tenant] = await stores.tenants.ensureTenants([name]);
    if (tenant === undefined) throw new Error("The tenant was not made.");
    return tenant.id;
  };
  const insert = async (job: NewJob, tenantId?: string): Promise<Job> => {
    const [inserted] = await store.insertJobs({
      tenantId: tenantId ?? (await freshTenant()),
      batch: null,
      jobs: [job],
    });
    if (inserted === undefined) throw new Error("No job came back.");
    return inserted;
  };
  const insertBatch = async (count: number): Promise<Job[]> =>
    await store.insertJobs({
      tenantId: await freshTenant(),
      batch: { id: uuidv7(), name: null },
      jobs: Array.from({ length: count }, () => buildJob()),
    });
  const freshServer = async (): Promise<string> => {
    const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}:8188`, slots: 2 }]);
    if (server === undefined) throw new Error("No server came back.");
    return server.id;
  };
  const claim = async (job: { id: string }, attempt: number, serverId: string, ms = leaseMs) =>
    await store.claimJobs(
      [
        {
          jobId: job.id,
          attempt,
          serverId,
          workerId: "worker-a",
          clientId: "client-a",
          promptId: uuidv7(),
        },
      ],
      ms,
    );
  /** A job in the hands of `worker-a`. */
  const running = async (
    options: { job?: Partial<NewJob>; serverId?: string; leaseMs?: number } = {},
  ): Promise<LeasedJob> => {
    const job = await insert(buildJob(options.job));
    const [leased] = await claim(job, 1, options.serverId ?? (await freshServer()), options.leaseMs);
    if (leased === undefined) throw new Error("The job could not be claimed.");
    return leased;
  };
  const read = async (id: string): Promise<Job> => {
    const job = await store.findJob(id);
    if (job === null || job === "removed") throw new Error(`Job ${id} is not there.`);
    return job;
  };
  const history = async (id: string): Promise<JobEvent[]> => await store.listEvents(id, 0, 1_000);
  const types = async (id: string): Promise<string[]> => (await history(id)).map(({ type }) => type);
  const requeue = (changes: Partial<Extract<AttemptEnd, { kind: "requeue" }>> = {}): AttemptEnd => ({
    kind: "requeue",
    failure: buildFailure({ class: "server", code: "server-lost", message: "The server went away." }),
    delayMs: 0,
    charged: false,
    avoidServer: false,
    ...changes,
  });

  describe("accepting jobs", () => {
    test("returns them queued, in the given order, each with its first event", async () => {
      const tenantId = await freshTenant();
      const given = [0, 1, 2].map((batchIndex) => buildJob({ batchIndex, prompt: `picture ${batchIndex}` }));
      const batch = { id: uuidv7(), name: "three" };
      const jobs = await store.insertJobs({ tenantId, batch, jobs: given });
      expect(jobs.map(({ id }) => id)).toEqual(given.map(({ id }) => id));
      for (const [index, job] of jobs.entries()) {
        expect(job).toMatchObject({
          ...{ tenantId, batchId: batch.id, batchIndex: index, status: "queued", phase: "waiting" },
          ...{ attempt: 0, leaseNumber: 0, eventSequence: 1, failure: null, finishedAt: null },
        });
        expect(await history(job.id)).toMatchObject([{ sequence: 1, type: "accepted", attempt: 0 }]);
        expect(await store.findJob(job.id)).toEqual(job);
      }
      const asked = [jobs[2]!.id, uuidv7(), "no-uuid", jobs[0]!.id];
      expect(await store.findJobs(asked)).toEqual([jobs[2], jobs[0]]);
      expect(await store.findBatch(batch.id)).toMatchObject({
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
      await expect(store.insertJobs({ tenantId, batch, jobs })).rejects.toThrow();
      expect(await store.findJob(fresh.id)).toBeNull();
      expect(await store.findBatch(batch.id)).toBeNull();
    });

    test("gives parameters and graph back as they came, also where two jobs share a graph", async () => {
      const workflow = buildWorkflow('桜の下の少女 "quoted" \\ 100% 🌸');
      const first = await insert(buildJob({ workflow, parameters: { prompt: "x", list: [1, null, true] } }));
      const second = await insert(buildJob({ workflow, parameters: null }));
      const found = await store.findParameters(first.id);
      expect(found?.parameters).toEqual({ prompt: "x", list: [1, null, true] });
      expect(JSON.parse(found?.workflow ?? "")).toEqual(JSON.parse(workflow));
      expect(await store.findParameters(second.id)).toEqual({ workflow: found?.workflow, parameters: null });
    });

    test("says what the prompts of any number of jobs are", async () => {
      const parameters = { prompt: "桜の下の少女 🌸", negativePrompt: "dogs" };
      const image = await insert(buildJob({ parameters }));
      const workflow = buildWorkflow("w".repeat(600));
      const raw = await insert(buildJob({ type: "workflow", workflow, parameters: {} }));
      const none = await insert(buildJob({ type: "workflow", workflow: "{}", parameters: null }));
      const found = await store.findPrompts([uuidv7(), raw.id, "none", image.id, none.id]);
      expect(Object.fromEntries(found)).toEqual({
        [image.id]: parameters,
        [raw.id]: { prompt: `${"w".repeat(499)}…`, negativePrompt: null },
        [none.id]: { prompt: null, negativePrompt: null },
      });
      expect(await store.findPrompts([])).toEqual(new Map());
    });

    test("keeps every number of a graph as it was written, whoever reads it", async () => {
      const numbers = [
        ...["18446744073709551615", "6687881544318117707", "-9007199254740993", "1.0", "1.00", "0.1", "7"],
        ...["1e5", "1E5", "-0.0", "1e-400", "1e300", "2.5e-7", `1.${"0".repeat(20_000)}`],
      ];
      for (const list of [numbers.slice(0, 7), numbers]) {
        const workflow = `{"1":{"class_type":"X","inputs":{"list":[${list.join()}]}}}`;
        const job = await insert(buildJob({ workflow, parameters: {} }));
        const found = await store.findParameters(job.id);
        const [candidate] = await store.readCandidates([{ jobId: job.id, attempt: 1 }]);
        const serverId = await freshServer();
        const [claimed] = await claim(job, 1, serverId);
        await store.releaseLeases([claimed!]);
        const [adopted] = await store.adoptJobs([serverId], "worker-b", leaseMs);
        for (const read of [found, candidate, claimed, adopted]) {
          expect(read?.workflow.replaceAll(/\s/g, "")).toContain(`"list":[${list.join()}]`);
        }
      }
    });

    test("takes graphs that differ in a digit which JavaScript does not see for different graphs", async () => {
      const seeds = ["18446744073709551615", "18446744073709551614", "1", "1.0"];
      const jobs = seeds.map((seed) =>
        buildJob({ workflow: `{"1":{"class_type":"X","inputs":{"seed":${seed}}}}` }),
      );
      for (const job of jobs) await insert(job);
      const candidates = await store.readCandidates(jobs.map(({ id }) => ({ jobId: id, attempt: 1 })));
      expect(new Set(candidates.map(({ workflowHash }) => workflowHash)).size).toBe(seeds.length);
      expect(candidates.map(({ workflow }) => /"seed": ?([^}]*)/.exec(workflow)?.[1])).toEqual(seeds);
    });

    test.each([
      ["NUL in a parameter", { parameters: { prompt: "a\0b" } }, "parameters"],
      ["half a surrogate pair in the graph", { workflow: buildWorkflow("a\ud83cb") }, "workflow"],
      ["NUL in a tag", { tags: ["a\0b"] }, "tags"],
    ])("refuses %s, which no database holds, and says where", async (_, changes, path) => {
      const refused = insert(buildJob(changes));
      await expect(refused).rejects.toThrow(InvalidJobError);
      await expect(refused).rejects.toMatchObject({ problems: [{ path }] });
    });

    test("refuses a batch whose name no database holds", async () => {
      const [tenantId, batch] = [await freshTenant(), { id: uuidv7(), name: "a\0b" }];
      const refused = store.insertJobs({ tenantId, batch, jobs: [buildJob()] });
      await expect(refused).rejects.toMatchObject({ code: "invalid-job", problems: [{ path: "name" }] });
      expect(await store.findBatch(batch.id)).toBeNull();
    });

    test("keeps a text that only looks like an escape", async () => {
      const job = await insert(buildJob({ parameters: { prompt: "\\u0000 \\ud83c" } }));
      expect(await store.findParameters(job.id)).toMatchObject({ parameters: { prompt: "\\u0000 \\ud83c" } });
    });

    test("ranks a tenant's jobs in their order, and another tenant's first job before its flood", async () => {
      const flooding = await freshTenant();
      const flood = await store.insertJobs({
        tenantId: flooding,
        batch: { id: uuidv7(), name: null },
        jobs: Array.from({ length: 50 }, (_, batchIndex) => buildJob({ batchIndex })),
      });
      const ranks = flood.map(({ rank }) => rank);
      expect(ranks).toEqual(ranks.map((_, index) => (ranks[0] ?? NaN) + index));
      const late = await insert(buildJob(), await freshTenant());
      expect(late.rank).toBeLessThan(flood[5]?.rank ?? NaN);
      const next = await insert(buildJob(), flooding);
      expect(next.rank).toBeGreaterThan(ranks.at(-1) ?? NaN);
    });

    test("lets nobody before what was claimed already, be it a newcomer or back after a while", async () => {
      const [early, busy] = [await freshTenant(), await freshTenant()];
      await insert(buildJob({ priority: "low" }), early);
      const flood = await store.insertJobs({
        tenantId: busy,
        batch: { id: uuidv7(), name: null },
        jobs: Array.from({ length: 9 }, (_, batchIndex) => buildJob({ priority: "low", batchIndex })),
      });
      const last = flood.at(-1);
      if (last === undefined) throw new Error("Nothing was inserted.");
      expect(await claim(last, 1, await freshServer())).toHaveLength(1);
      for (const tenantId of [early, await freshTenant()]) {
        expect((await insert(buildJob({ priority: "low" }), tenantId)).rank).toBe(last.rank + 1);
      }
    });
  });

  describe("reading", () => {
    test.each([["01890000-0000-7000-8000-000000000000"], ["no-uuid"], [""]])(
      "finds nothing under the id %p",
      async (id) => {
        expect(await store.findJob(id)).toBeNull();
        expect(await store.findParameters(id)).toBeNull();
        expect(await store.findBatch(id)).toBeNull();
        expect(await store.findOutput(id)).toBeNull();
        expect(await store.listEvents(id, 0, 10)).toEqual([]);
        expect(await store.listOutputs(id)).toEqual([]);
        expect(await store.requestCancel(id)).toBeNull();
        expect(await store.retryJob(id)).toBeNull();
        expect(await store.removeJob(id)).toBeNull();
      },
    );

    test("pages through a tenant's jobs, newest first, each exactly once", async () => {
      const tenantId = await freshTenant();
      const ids: string[] = [];
      for (let index = 0; index < 7; index += 1) ids.push((await insert(buildJob(), tenantId)).id);
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page = await store.listJobs({ tenantId, limit: 3, ...(cursor !== null && { cursor }) });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== null);
      expect(seen).toEqual(ids.toReversed());
    });

    test.each(["x", "", "AAAA", "not a cursor at all", "AaIEd0LpchWpms8zNUFYsw=="])(
      "refuses the cursor %p as a problem of the field `cursor`",
      async (cursor) => {
        await expect(store.listJobs({ limit: 1, cursor })).rejects.toMatchObject({
          code: "invalid-job",
          problems: [{ path: "cursor", received: cursor }],
        });
      },
    );

    test("filters by status, type, batch, project, tag and text", async () => {
      const tenantId = await freshTenant();
      const batch = { id: uuidv7(), name: null };
      const [video] = await store.insertJobs({
        tenantId,
        batch,
        jobs: [buildJob({ type: "video", batchIndex: 0, project: "opening", tags: ["cut-1", "draft"] })],
      });
      const plain = await insert(buildJob({ prompt: "Only 50% of_the \\ Sky" }), tenantId);
      await store.requestCancel(plain.id);
      const ids = async (filter: object): Promise<string[]> =>
        (await store.listJobs({ tenantId, limit: 10, ...filter })).items.map(({ id }) => id);
      for (const filter of [
        { statuses: ["queued"] },
        { types: ["video", "workflow"] },
        { batchId: batch.id },
        { project: "opening" },
        { tag: "draft" },
        { text: "CHERRY" },
      ]) {
        expect(await ids(filter)).toEqual([video?.id]);
      }
      for (const filter of [
        { statuses: ["cancelled", "failed"] },
        { types: ["image"] },
        { text: "50% of_the \\ sky" },
      ]) {
        expect(await ids(filter)).toEqual([plain.id]);
      }
      for (const filter of [
        { statuses: [] },
        { text: "5_%" },
        { tag: "cut" },
        { tag: "draft\0" },
        { text: "cherry\0" },
        { batchId: "no-uuid" },
        { tenantId: "no-uuid" },
      ]) {
        expect(await ids(filter)).toEqual([]);
      }
    });

    test("finds the prompt of a raw graph", async () => {
      const tenantId = await freshTenant();
      const workflow = buildWorkflow("a lighthouse at dusk");
      const job = await insert(buildJob({ type: "workflow", parameters: {}, workflow }), tenantId);
      const page = await store.listJobs({ tenantId, text: "LIGHTHOUSE", limit: 5 });
      expect(page.items.map(({ id }) => id)).toEqual([job.id]);
    });

    test("counts a tenant's jobs by status and lane, and knows the longest waiting one", async () => {
      const tenantId = await freshTenant();
      expect(await store.summarizeQueue(tenantId)).toMatchObject({ lanes: [], oldestQueuedAt: null });
      const [first] = [await insert(buildJob({ lane: "a" }), tenantId), await insert(buildJob(), tenantId)];
      const taken = await insert(buildJob({ lane: "a" }), tenantId);
      await claim(taken, 1, await freshServer());
      await store.requestCancel((await insert(buildJob(), tenantId)).id);
      expect(await store.summarizeQueue(tenantId)).toEqual({
        counts: { queued: 2, processing: 1, completed: 0, failed: 0, timeout: 0, cancelled: 1 },
        lanes: [
          { lane: "a", queued: 1, processing: 1 },
          { lane: "default", queued: 1, processing: 0 },
        ],
        oldestQueuedAt: first.createdAt,
      });
    });

    test("counts what is served before a job: lower bands first, then lower ranks of its lane", async () => {
      const tenantId = await freshTenant();
      const lane = `lane-${uuidv7()}`;
      const of = (priority: NewJob["priority"]): Promise<Job> =>
        insert(buildJob({ lane, priority }), tenantId);
      const low = await of("low");
      const [first, second] = [await of("normal"), await of("normal")];
      const urgent = await of("urgent");
      const before = (job: Job): Promise<{ own: number; others: number }> => store.countJobsBefore(job);
      const own = async (job: Job): Promise<number> => (await before(job)).own;
      expect(await Promise.all([urgent, first, second, low].map(own))).toEqual([0, 1, 2, 3]);
      const other = await insert(buildJob({ lane, priority: "low" }));
      expect((await before(other)).others).toBeGreaterThanOrEqual(3);
      await store.requestCancel(urgent.id);
      expect(await own(low)).toBe(2);
      expect(await before(await read(urgent.id))).toEqual({ own: 0, others: 0 });
    });

    test("reads a history from any place on, in bounded parts", async () => {
      const lease = await running();
      await store.endAttempt(lease, requeue());
      expect(await types(lease.jobId)).toEqual(["accepted", "claimed", "requeued"]);
      expect(await store.listEvents(lease.jobId, 1, 1)).toMatchObject([{ sequence: 2, type: "claimed" }]);
      expect(await store.listEvents(lease.jobId, 3, 10)).toEqual([]);
    });
  });

  describe("requests", () => {
    test("cancels a queued job at once", async () => {
      const job = await insert(buildJob());
      expect(await store.requestCancel(job.id)).toMatchObject({
        outcome: "cancelled",
        job: { status: "cancelled", phase: null, eventSequence: 2 },
        event: { type: "cancelled", sequence: 2 },
      });
      expect((await read(job.id)).finishedAt).not.toBeNull();
      expect(await store.requestCancel(job.id)).toMatchObject({
        outcome: "ended",
        job: { status: "cancelled" },
      });
      expect(await types(job.id)).toEqual(["accepted", "cancelled"]);
    });

    test("only notes the request on a running job, once", async () => {
      const lease = await running();
      expect(await store.requestCancel(lease.jobId)).toMatchObject({
        outcome: "requested",
        job: { status: "processing" },
        event: { type: "cancel_requested" },
      });
      expect(await store.requestCancel(lease.jobId)).toMatchObject({ outcome: "requested", event: null });
      expect(await types(lease.jobId)).toEqual(["accepted", "claimed", "cancel_requested"]);
    });

    test("are answered truly while the job is being claimed or requeued", async () => {
      const serverId = await freshServer();
      for (let round = 0; round < 25; round += 1) {
        const job = await insert(buildJob());
        const lease = round % 2 === 0 ? null : (await claim(job, 1, serverId))[0];
        const [result] = await Promise.all([
          store.requestCancel(job.id),
          lease ? store.endAttempt(lease, requeue()) : claim(job, 1, serverId),
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
      await store.endAttempt(lease, end);
      const retried = await store.retryJob(lease.jobId);
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
      expect(await store.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({ held: false });
    });

    test("refuses to retry what has not failed", async () => {
      const queued = await insert(buildJob());
      await expect(store.retryJob(queued.id)).rejects.toThrow(IllegalTransitionError);
      const lease = await running();
      await expect(store.retryJob(lease.jobId)).rejects.toThrow(IllegalTransitionError);
      await store.endAttempt(lease, { kind: "completed", outputs: [buildOutput()] });
      await expect(store.retryJob(lease.jobId)).rejects.toThrow(IllegalTransitionError);
    });

    test("removes an ended job for ever, naming its files", async () => {
      const lease = await running();
      await expect(store.removeJob(lease.jobId)).rejects.toThrow(IllegalTransitionError);
      const file = buildOutput();
      const text = buildOutput({ index: 1, kind: "text", filename: null, storageKey: null, text: "1girl" });
      await store.endAttempt(lease, { kind: "completed", outputs: [file, text] });
      expect(await store.removeJob(lease.jobId)).toEqual({ id: lease.jobId, lane: "default", attempt: 1 });
      expect(await store.findJob(lease.jobId)).toBe("removed");
      expect(await store.removeJob(lease.jobId)).toBe("removed");
      expect(await store.requestCancel(lease.jobId)).toBe("removed");
      expect(await store.retryJob(lease.jobId)).toBe("removed");
      expect(await history(lease.jobId)).toEqual([]);
      expect(await store.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({ held: false });
    });
  });

  describe("announcing", () => {
    const among = <Item extends { jobId: string }>(items: Item[], ...jobs: { id: string }[]): Item[] =>
      items.filter(({ jobId }) => jobs.some(({ id }) => id === jobId));

    test("lists due rows without a ticket until they have one", async () => {
      const job = await insert(buildJob({ priority: "high" }));
      const ticket = { jobId: job.id, attempt: 1 };
      const announcement = { ...ticket, type: "image", lane: "default", priority: "high", rank: job.rank };
      expect(among(await store.listUnannounced(10_000), job)).toEqual([announcement]);
      await store.markEnqueued([{ jobId: job.id, attempt: 2 }]);
      expect((await read(job.id)).enqueuedAt).toBeNull();
      await store.markEnqueued([ticket]);
      expect((await read(job.id)).enqueuedAt).not.toBeNull();
      expect(among(await store.listUnannounced(10_000), job)).toEqual([]);
      expect(among(await store.listAnnounced(null, 10_000), job)).toEqual([announcement]);
      expect(among(await store.listAnnounced(job.id, 10_000), job)).toEqual([]);
    });

    test("lists the best first, and no more than asked", async () => {
      const tenantId = await freshTenant();
      const [low, urgent] = [
        await insert(buildJob({ priority: "low" }), tenantId),
        await insert(buildJob({ priority: "urgent" }), tenantId),
      ];
      const listed = among(await store.listUnannounced(10_000), low, urgent);
      expect(listed.map(({ jobId }) => jobId)).toEqual([urgent.id, low.id]);
      expect(await store.listUnannounced(1)).toHaveLength(1);
    });

    test("announces a retry only when its delay has passed", async () => {
      const [later, now] = [await running(), await running()];
      await store.endAttempt(later, requeue({ delayMs: 60_000 }));
      await store.endAttempt(now, requeue({ delayMs: 0 }));
      const listed = among(await store.listUnannounced(10_000), later.job, now.job);
      expect(listed).toMatchObject([{ jobId: now.jobId, attempt: 2 }]);
      const tickets = [later, now].map(({ jobId }) => ({ jobId, attempt: 2 }));
      expect((await store.readCandidates(tickets)).map(({ jobId }) => jobId)).toEqual([now.jobId]);
      expect(await claim(later.job, 2, await freshServer())).toEqual([]);
    });

    test("forgets all tickets at once", async () => {
      const jobs = [await insert(buildJob()), await insert(buildJob())];
      await store.markEnqueued(jobs.map(({ id }) => ({ jobId: id, attempt: 1 })));
      expect(await store.clearEnqueued()).toBeGreaterThanOrEqual(2);
      expect(among(await store.listUnannounced(10_000), ...jobs)).toHaveLength(2);
      expect(await store.clearEnqueued()).toBe(0);
    });

    test("shows of each ticket's row whether and what it wants", async () => {
      const job = await insert(buildJob({ lane: "sdxl" }));
      const [cancelled, taken] = [await insert(buildJob()), await running()];
      await store.requestCancel(cancelled.id);
      const candidates = await store.readCandidates([
        { jobId: job.id, attempt: 1 },
        { jobId: job.id, attempt: 2 },
        { jobId: cancelled.id, attempt: 1 },
        { jobId: taken.jobId, attempt: 1 },
        { jobId: uuidv7(), attempt: 1 },
      ]);
      expect(candidates).toMatchObject([{ jobId: job.id, attempt: 1, lane: "sdxl", avoidServerId: null }]);
      expect(JSON.parse(candidates[0]?.workflow ?? "")).toEqual(JSON.parse(buildWorkflow()));
    });
  });

  describe("claiming", () => {
    test("starts an attempt with a prompt id of its own, and tells the history who has it", async () => {
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

    test("lets exactly one of many claims of the next attempt win", async () => {
      const job = await insert(buildJob());
      const serverId = await freshServer();
      expect(await claim(job, 0, serverId)).toEqual([]);
      expect(await claim(job, 2, serverId)).toEqual([]);
      const results = await Promise.all(Array.from({ length: 8 }, () => claim(job, 1, serverId)));
      expect(results.flat()).toHaveLength(1);
      expect(await types(job.id)).toEqual(["accepted", "claimed"]);
    });

    test("gives back what was won of a set, in the order of the claims", async () => {
      const tenantId = await freshTenant();
      const serverId = await freshServer();
      const jobs = [await insert(buildJob(), tenantId), await insert(buildJob(), tenantId)];
      const [first, second] = jobs;
      if (first === undefined || second === undefined) throw new Error("unreachable");
      const claimOf = (jobId: string, attempt = 1) => ({
        ...{ jobId, attempt, serverId, workerId: "w", clientId: "c", promptId: uuidv7() },
      });
      const won = await store.claimJobs(
        [claimOf(second.id), claimOf(uuidv7()), claimOf(first.id), claimOf(first.id, 2)].slice(0, 3),
        leaseMs,
      );
      expect(won.map(({ jobId }) => jobId)).toEqual([second.id, first.id]);
      expect(await store.claimJobs([claimOf(first.id), claimOf(second.id, 2)], leaseMs)).toEqual([]);
    });

    test("claims while the same row is being marked as announced", async () => {
      const serverId = await freshServer();
      for (let round = 0; round < 10; round += 1) {
        const job = await insert(buildJob());
        const marked = store.markEnqueued([{ jobId: job.id, attempt: 1 }]);
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
      expect(await store.readCandidates([{ jobId: late.id, attempt: 1 }])).toEqual([]);
      const ended = (await store.expireQueued(1_000)).map(({ job }) => job.id);
      expect(ended).toContain(late.id);
      expect(ended).not.toContain(early.id);
      expect(await read(late.id)).toMatchObject({
        status: "timeout",
        failure: { class: "deadline", code: "expired" },
      });
      expect((await history(late.id)).at(-1)).toMatchObject({ type: "timeout" });
    });

    test("is told to whoever claims the job, by the database's clock", async () => {
      const job = await insert(buildJob({ expiresAt: future() }));
      const [lease] = await claim(job, 1, await freshServer());
      expect(lease?.expiresInMs).toBeGreaterThan(500_000);
      expect(lease?.expiresInMs).toBeLessThanOrEqual(600_000);
    });
  });

  describe("a whole batch", () => {
    test("is cancelled at once: queued jobs end, running ones are asked, ended ones stay", async () => {
      const jobs = await insertBatch(4);
      const serverId = await freshServer();
      const [first] = await claim(jobs[0]!, 1, serverId);
      const [second] = await claim(jobs[1]!, 1, serverId);
      await store.endAttempt(second!, { kind: "completed", outputs: [] });
      const batchId = jobs[0]!.batchId!;
      const { cancelled, requested } = await store.cancelBatch(batchId);
      expect(cancelled.map(({ job }) => job.id)).toEqual([jobs[2]!.id, jobs[3]!.id]);
      expect(requested.map(({ job }) => job.id)).toEqual([first!.jobId]);
      expect(await store.cancelBatch(batchId)).toEqual({ cancelled: [], requested: [] });
      expect((await store.findBatch(batchId))?.counts).toMatchObject({
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
          store.cancelBatch(batchId),
          ...leases.map((lease) => store.endAttempt(lease, requeue())),
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

    test("is retried: failed and timed out jobs start anew, in their order", async () => {
      const jobs = await insertBatch(3);
      const serverId = await freshServer();
      for (const job of jobs) {
        const [lease] = await claim(job, 1, serverId);
        const kind = job === jobs[1] ? "timeout" : "failed";
        if (job !== jobs[2]) await store.endAttempt(lease!, { kind, failure: buildFailure() });
        else await store.endAttempt(lease!, { kind: "completed", outputs: [] });
      }
      const again = await store.retryBatch(jobs[0]!.batchId!);
      expect(again.map(({ id }) => id)).toEqual([jobs[0]!.id, jobs[1]!.id]);
      expect(again).toMatchObject([
        { status: "queued", attempt: 1, failure: null, finishedAt: null },
        { status: "queued", attempt: 1, failure: null, finishedAt: null },
      ]);
    });
  });

  describe("attempts", () => {
    test("are told with their servers, outcomes and failures, and their prompts once they have ended", async () => {
      const serverId = await freshServer();
      const first = await running({ serverId });
      expect(await store.findEndedPrompts(serverId, [first.promptId])).toEqual([]);
      await store.endAttempt(first, requeue());
      expect(await store.findEndedPrompts(serverId, [first.promptId, uuidv7()])).toEqual([first.promptId]);
      expect(await store.findEndedPrompts(await freshServer(), [first.promptId])).toEqual([]);
      const attempts = await store.listAttempts(first.jobId);
      expect(attempts).toMatchObject([{ number: 1, promptId: first.promptId, outcome: "requeued" }]);
      expect(attempts[0]?.failure).not.toBeNull();
      expect(attempts[0]?.serverUrl).toMatch(/^http/);
    });

    test("of a removed job are known by their prompts to a server that was away when they ended", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId });
      await store.endAttempt(lease, requeue());
      await store.requestCancel(lease.jobId);
      await store.removeJob(lease.jobId);
      expect(await store.findEndedPrompts(serverId, [lease.promptId])).toEqual([lease.promptId]);
      expect(await store.findEndedPrompts(await freshServer(), [lease.promptId])).toEqual([]);
    });
  });

  describe("holding a lease", () => {
    test("renews all at once, and says which jobs are to be cancelled", async () => {
      const [kept, asked] = [await running(), await running()];
      await store.requestCancel(asked.jobId);
      const result = await store.renewLeases([kept, asked], leaseMs);
      expect(result.held.map(({ jobId }) => jobId).sort()).toEqual([kept.jobId, asked.jobId].sort());
      expect(result.cancelRequested).toEqual([asked.jobId]);
    });

    test("renews an expired lease that nobody took, and not one that was taken", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: 0 });
      expect((await store.renewLeases([lease], 0)).held).toHaveLength(1);
      const [adopted] = await store.adoptJobs([serverId], "worker-b", leaseMs);
      expect(adopted).toMatchObject({ jobId: lease.jobId, attempt: 1, leaseNumber: 2 });
      expect(await store.renewLeases([lease], leaseMs)).toEqual({ held: [], cancelRequested: [] });
    });

    test("adopts what was released at once, with what its last owner had noted", async () => {
      const serverId = await freshServer();
      const posted = await running({ serverId });
      const waiting = await running({ serverId });
      const elsewhere = await running();
      await store.recordProgress([{ ...posted, phase: "executing", progress: buildProgress(10) }]);
      expect(await store.adoptJobs([serverId], "worker-b", leaseMs)).toEqual([]);
      await store.releaseLeases([posted, waiting, elsewhere]);
      const adopted = await store.adoptJobs([serverId], "worker-b", leaseMs);
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
      expect(await store.adoptJobs([serverId], "worker-c", leaseMs)).toEqual([]);
    });

    test("adopts on several servers in one statement, and on no other server", async () => {
      const serverIds = [await freshServer(), await freshServer()];
      const jobs: LeasedJob[] = [];
      for (const serverId of [...serverIds, await freshServer()]) {
        jobs.push(await running({ serverId, leaseMs: 0 }));
      }
      const adopted = await store.adoptJobs(serverIds, "worker-b", leaseMs);
      expect(new Map(adopted.map((leased) => [leased.jobId, leased.serverId]))).toEqual(
        new Map(jobs.slice(0, 2).map((leased) => [leased.jobId, leased.serverId])),
      );
      expect(await store.adoptJobs([], "worker-b", leaseMs)).toEqual([]);
    });
  });

  describe("progress", () => {
    test("goes forward only: phases, percentages, and one event for each new phase", async () => {
      const lease = await running();
      const report = (phase: "waiting" | "submitted" | "executing" | "saving", percent: number) =>
        store.recordProgress([{ ...lease, phase, progress: buildProgress(percent) }]);
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

    test("is written for many jobs in one go, whatever odd numbers a server sends", async () => {
      const [one, two] = [await running(), await running()];
      const odd = buildProgress(Number.NaN, {
        step: 1.5,
        steps: Infinity,
        nodesDone: 1e12,
        nodesTotal: null,
      });
      await store.recordProgress([
        { ...one, phase: "submitted", progress: buildProgress(120) },
        { ...two, phase: "submitted", progress: odd },
      ]);
      expect((await read(one.jobId)).progress.percent).toBe(100);
      expect((await read(two.jobId)).progress).toMatchObject({
        ...{ percent: 0, step: 1, steps: null, nodesDone: null, nodesTotal: null },
      });
    });

    test("begins anew with the next attempt, while the first start stays known", async () => {
      const lease = await running();
      await store.recordProgress([{ ...lease, phase: "executing", progress: buildProgress(70) }]);
      const { startedAt } = await read(lease.jobId);
      await store.endAttempt(lease, requeue());
      expect(await read(lease.jobId)).toMatchObject({
        phase: "waiting",
        progress: { percent: 0, node: null },
      });
      const [second] = await claim(lease.job, 2, await freshServer());
      if (second === undefined) throw new Error("The job could not be claimed again.");
      await store.recordProgress([{ ...second, phase: "executing", progress: buildProgress(5) }]);
      expect(await read(lease.jobId)).toMatchObject({ startedAt, progress: { percent: 5 } });
    });
  });

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
      const result = await store.endAttempt(lease, { kind: "completed", outputs });
      expect(result).toMatchObject({
        ...{ held: true, status: "completed", event: { type: "completed", data: { outputs: 2 } } },
        job: { status: "completed", phase: null, progress: { percent: 100 }, cancelTooLate: false },
      });
      const stored = await store.listOutputs(lease.jobId);
      expect(stored).toMatchObject([
        { ...outputs[0], jobId: lease.jobId, attempt: 1 },
        { ...outputs[1], text: "1girl\ufffd" },
      ]);
      expect(await store.findOutput(stored[0]?.id ?? "")).toEqual(stored[0]);
      expect((await read(lease.jobId)).finishedAt).not.toBeNull();
    });

    test("keeps what somebody should know of a job that completed, in the job and in the event", async () => {
      const lease = await running();
      const warnings = ["Node 3 was blocked: \0", `{"quoted", and 'so'}`];
      const stored = ["Node 3 was blocked: \ufffd", `{"quoted", and 'so'}`];
      const result = await store.endAttempt(lease, { kind: "completed", outputs: [], warnings });
      expect(result).toMatchObject({
        job: { status: "completed", warnings: stored },
        event: { data: { outputs: 0, warnings: stored } },
      });
      expect(await read(lease.jobId)).toMatchObject({ warnings: stored });
    });

    test.each<["failed" | "timeout"]>([["failed"], ["timeout"]])("keeps the reason of %s", async (kind) => {
      const lease = await running();
      const failure = buildFailure({ nodeId: "3", nodeType: "KSampler", traceback: ["line 1", "line 2"] });
      await store.endAttempt(lease, { kind, failure });
      const { traceback, ...shown } = failure;
      expect(await read(lease.jobId)).toMatchObject({ status: kind, phase: null, failure: shown });
      expect((await history(lease.jobId)).at(-1)).toMatchObject({
        type: kind,
        data: { ...shown, traceback },
      });
    });

    test("is completed, and too late to cancel, when success came after the request", async () => {
      const lease = await running();
      await store.requestCancel(lease.jobId);
      const result = await store.endAttempt(lease, { kind: "completed", outputs: [buildOutput()] });
      expect(result).toMatchObject({ held: true, job: { status: "completed", cancelTooLate: true } });
    });

    test("requeues with its reason in sight, until the next claim", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId });
      const end = requeue({ delayMs: 0, charged: true, counts: "outOfMemory", avoidServer: true });
      const result = await store.endAttempt(lease, end);
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
      const [candidate] = await store.readCandidates([{ jobId: lease.jobId, attempt: 2 }]);
      expect(candidate).toMatchObject({ avoidServerId: serverId });
      const [second] = await claim(lease.job, 2, serverId);
      expect(second).toMatchObject({ attempt: 2, leaseNumber: 2, job: { failure: null } });
      expect(second?.promptId).not.toBe(lease.promptId);
    });

    test("turns a requeue into the cancellation that was asked for", async () => {
      const lease = await running();
      await store.requestCancel(lease.jobId);
      const result = await store.endAttempt(lease, requeue());
      expect(result).toMatchObject({
        ...{ held: true, status: "cancelled", event: { type: "cancelled" } },
        job: { status: "cancelled", failure: null, runAt: null },
      });
    });

    test("answers a repeated end from what was recorded, so that a lost answer is no lost job", async () => {
      const output = buildOutput();
      for (const end of [
        { kind: "completed", outputs: [output] },
        { kind: "failed", failure: buildFailure() },
        { kind: "cancelled" },
        requeue(),
      ] satisfies AttemptEnd[]) {
        const lease = await running();
        const first = await store.endAttempt(lease, end);
        const events = await history(lease.jobId);
        expect(await store.endAttempt(lease, end)).toEqual(first);
        expect(await history(lease.jobId)).toEqual(events);
      }
    });

    test("answers a repeated requeue even when the next attempt runs already", async () => {
      const lease = await running();
      await store.endAttempt(lease, requeue());
      await claim(lease.job, 2, await freshServer());
      expect(await store.endAttempt(lease, requeue())).toMatchObject({
        ...{ held: true, status: "queued", event: { type: "requeued", attempt: 1 } },
        job: { status: "processing", attempt: 2 },
      });
    });

    test("does not take another end for its own", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: 0 });
      const [adopted] = await store.adoptJobs([serverId], "worker-b", leaseMs);
      if (adopted === undefined) throw new Error("The job was not adopted.");
      await store.endAttempt(adopted, { kind: "completed", outputs: [] });
      expect(await store.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({ held: false });
      expect(await store.endAttempt(adopted, { kind: "cancelled" })).toEqual({ held: false });
    });

    test("has one outcome when ends, a cancel request and a take-over race", async () => {
      for (let round = 0; round < 10; round += 1) {
        const serverId = await freshServer();
        const lease = await running({ serverId, leaseMs: 0 });
        const [done, failed] = await Promise.all([
          store.endAttempt(lease, { kind: "completed", outputs: [buildOutput()] }),
          store.endAttempt(lease, { kind: "failed", failure: buildFailure() }),
          store.requestCancel(lease.jobId),
          store.adoptJobs([serverId], "worker-b", leaseMs),
        ]);
        const job = await read(lease.jobId);
        const ends = (await types(lease.jobId)).filter((type) => type === "completed" || type === "failed");
        expect(ends).toEqual(job.status === "processing" ? [] : [job.status]);
        expect(done.held && failed.held).toBe(false);
        expect(await store.listOutputs(lease.jobId)).toHaveLength(job.status === "completed" ? 1 : 0);
      }
    });
  });

  describe("the fence", () => {
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
      await store.endAttempt(first, requeue());
      await claim(first.job, 2, serverId, 0);
      const [lease] = await store.adoptJobs([serverId], "worker-b", leaseMs);
      if (lease === undefined) throw new Error("The job was not adopted.");
      const before = [await read(lease.jobId), await history(lease.jobId)];

      const forged = forge(lease);
      expect(await store.renewLeases([forged], leaseMs)).toEqual({ held: [], cancelRequested: [] });
      expect(
        await store.recordProgress([{ ...forged, phase: "saving", progress: buildProgress(99) }]),
      ).toEqual([]);
      for (const end of [
        { kind: "completed", outputs: [buildOutput()] },
        { kind: "failed", failure: buildFailure() },
        { kind: "timeout", failure: buildFailure() },
        { kind: "cancelled" },
        requeue(),
      ] satisfies AttemptEnd[]) {
        expect(await store.endAttempt(forged, end)).toEqual({ held: false });
      }
      await store.releaseLeases([forged]);

      expect([await read(lease.jobId), await history(lease.jobId)]).toEqual(before);
      expect(await store.listOutputs(lease.jobId)).toEqual([]);
      expect(await store.adoptJobs([serverId], "worker-c", leaseMs)).toEqual([]);
    });

    test("lets nobody write to a job that is not running", async () => {
      const lease = await running();
      await store.endAttempt(lease, requeue());
      expect(await store.renewLeases([lease], leaseMs)).toMatchObject({ held: [] });
      expect(await store.recordProgress([{ ...lease, phase: "saving", progress: buildProgress(1) }])).toEqual(
        [],
      );
      expect(await store.endAttempt(lease, { kind: "completed", outputs: [] })).toEqual({ held: false });
      expect(await types(lease.jobId)).toEqual(["accepted", "claimed", "requeued"]);
    });
  });

  describe("jobs that nobody looks after", () => {
    const requeued = async (graceMs: number, lease: LeasedJob) =>
      (await store.requeueAbandoned(graceMs)).filter(({ job }) => job.id === lease.jobId);

    test("go back to the queue, uncharged, once their lease and their server's are over", async () => {
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
      expect(await store.endAttempt(lease, requeue())).toEqual({ held: false });
    });

    test("stay with a server that has an owner, who will adopt them", async () => {
      const serverId = await freshServer();
      const lease = await running({ serverId, leaseMs: 0 });
      await stores.servers.acquireServers("worker-b", [serverId], 1, leaseMs);
      expect(await requeued(0, lease)).toEqual([]);
      const held = await running({ serverId: await freshServer() });
      expect(await requeued(0, held)).toEqual([]);
    });

    test("are cancelled where that was asked", async () => {
      const lease = await running({ leaseMs: 0 });
      await store.requestCancel(lease.jobId);
      expect(await requeued(0, lease)).toMatchObject([
        { job: { status: "cancelled" }, event: { type: "cancelled" } },
      ]);
    });
  });
}
