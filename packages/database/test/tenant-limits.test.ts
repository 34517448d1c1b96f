import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { migrate, openDatabase, type Database } from "@genga/database";
import {
  LimitReachedError,
  noTenantLimitChoices,
  type Job,
  type JobPriority,
  type TicketReference,
} from "@genga/jobs";
import { buildFailure, buildJob, buildLane, createTestDatabase, type TestDatabase } from "@genga/testing";

const queuedMax = 30;
const by = { keyName: "an operator's", tenantId: null };
let scratch: TestDatabase;
/** Stands for two processes. */
let one: Database;
let other: Database;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  const limits = { jobsQueuedMax: queuedMax, jobsRunningMax: null };
  one = openDatabase({ databaseUrl: scratch.url, limits });
  other = openDatabase({ databaseUrl: scratch.url, limits });
});
afterAll(async () => {
  await Promise.all([one.close(), other.close()]);
  await scratch.drop();
});

async function freshTenant(): Promise<string> {
  const name = `tenant-${uuidv7()}`;
  const [tenant] = await one.tenants.ensureTenants([name]);
  if (tenant === undefined) throw new Error("The tenant was not created.");
  return tenant.id;
}

const insert = (store: Database, tenantId: string, count = 1): Promise<Job[]> =>
  store.jobRequests.insertJobs({
    tenantId,
    batch: count === 1 ? null : { id: uuidv7(), name: null },
    jobs: Array.from({ length: count }, () => buildJob({ prompt: uuidv7() })),
  });

const queuedOf = async (tenantId: string): Promise<number> =>
  (await one.jobReader.of(tenantId).summarizeQueue()).counts.queued;

test("never queues more than the limit, however many processes submit at the same time", async () => {
  const tenantId = await freshTenant();
  const tries = Array.from({ length: 60 }, (_, index) => insert(index % 2 === 0 ? one : other, tenantId));
  const results = await Promise.allSettled(tries);
  const refused = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  expect(await queuedOf(tenantId)).toBe(queuedMax);
  expect(refused).toHaveLength(60 - queuedMax);
  for (const reason of refused) {
    expect(reason).toBeInstanceOf(LimitReachedError);
    expect(reason).toMatchObject({ limit: "jobs-queued", max: queuedMax, used: queuedMax, wanted: 1 });
  }
});

test("counts a batch as a whole, and stores nothing of a refused one", async () => {
  const tenantId = await freshTenant();
  await insert(one, tenantId, 20);
  await expect(insert(one, tenantId, 11)).rejects.toMatchObject({ used: 20, wanted: 11 });
  expect(await queuedOf(tenantId)).toBe(20);
  await insert(one, tenantId, 10);
  expect(await queuedOf(tenantId)).toBe(queuedMax);
});

test("counts a batch of several statements as a whole, while others of its tenant are accepted", async () => {
  const tenantId = await freshTenant();
  await one.tenantLimits.saveChoices(tenantId, { ...noTenantLimitChoices, jobsQueuedMax: 1_500 }, by);
  const results = await Promise.allSettled([
    insert(one, tenantId, 1_200),
    insert(other, tenantId, 1_200),
    ...Array.from({ length: 20 }, () => insert(one, tenantId)),
  ]);
  const fulfilled = results.slice(0, 2).filter(({ status }) => status === "fulfilled");
  expect(fulfilled).toHaveLength(1);
  expect(await queuedOf(tenantId)).toBe(1_220);
}, 180_000);

test("gives room back for what was claimed or cancelled", async () => {
  const tenantId = await freshTenant();
  const [first] = await insert(one, tenantId, queuedMax);
  await expect(insert(one, tenantId)).rejects.toThrow(LimitReachedError);
  await one.jobRequests.requestCancel(first!.id);
  await insert(one, tenantId);
  await expect(insert(one, tenantId)).rejects.toThrow(LimitReachedError);
});

test("refuses a retry for which there is no room, and leaves the job as it was", async () => {
  const tenantId = await freshTenant();
  const [server] = await one.servers.registerServers([{ url: `http://${uuidv7()}:8188`, slots: 2 }]);
  const [job] = await insert(one, tenantId);
  const [leased] = await one.jobRuns.claimJobs(
    [
      {
        ...{
          jobId: job!.id,
          attempt: 1,
          ticketNumber: 0,
          serverId: server!.id,
          workerId: "worker-a",
          clientId: "client-a",
        },
        promptId: uuidv7(),
      },
    ],
    60_000,
  );
  await one.jobRuns.endAttempt(leased!, { kind: "failed", failure: buildFailure() });
  const others = await insert(one, tenantId, queuedMax);
  await expect(one.jobRequests.retryJob(job!.id)).rejects.toMatchObject({
    limit: "jobs-queued",
    used: queuedMax,
  });
  expect(await one.jobRuns.findJob(job!.id)).toMatchObject({ status: "failed" });
  await one.jobRequests.requestCancel(others[0]!.id);
  expect(await one.jobRequests.retryJob(job!.id)).toMatchObject({ status: "queued" });
});

test("takes room for the jobs that a retry queues, and not for those below that stay as they are", async () => {
  const tenantId = await freshTenant();
  const [asked, blocking] = await insert(one, tenantId, 2);
  const below = Array.from({ length: 5 }, (_, index) =>
    buildJob({ dependsOn: index === 0 ? [asked!.id] : [asked!.id, blocking!.id] }),
  );
  await one.jobRequests.insertJobs({ tenantId, batch: null, jobs: below });
  for (const { id } of [asked!, blocking!]) await one.jobRequests.requestCancel(id);
  while (!(await one.jobRuns.passOnEnds(100)).isDone);
  const others = await insert(one, tenantId, queuedMax - 1);
  await expect(one.jobRequests.retryJob(asked!.id)).rejects.toMatchObject({
    ...{ limit: "jobs-queued", used: queuedMax - 1, wanted: 2 },
  });
  await one.jobRequests.requestCancel(others[0]!.id);
  expect(await one.jobRequests.retryJob(asked!.id)).toMatchObject({ status: "queued" });
  const statuses = await Promise.all(below.map(async ({ id }) => await one.jobRuns.findJob(id)));
  expect(statuses).toMatchObject([
    { status: "queued" },
    ...Array.from({ length: 4 }, () => ({ status: "failed" })),
  ]);
});

test("holds for each tenant separately, and an operator's choice overrides the default", async () => {
  const [full, chosen, free] = [await freshTenant(), await freshTenant(), await freshTenant()];
  await insert(one, full, queuedMax);
  await one.tenantLimits.saveChoices(chosen, { ...noTenantLimitChoices, jobsQueuedMax: 2 }, by);
  await insert(other, chosen, 2);
  await expect(insert(other, chosen)).rejects.toMatchObject({ max: 2, used: 2 });
  await expect(insert(other, full)).rejects.toMatchObject({ max: queuedMax });
  await expect(insert(other, free)).resolves.toHaveLength(1);
  await one.tenantLimits.saveChoices(chosen, noTenantLimitChoices, by);
  await expect(insert(other, chosen)).resolves.toHaveLength(1);
  expect(await one.tenantLimits.findChoices(chosen)).toEqual(noTenantLimitChoices);
});

/** Claims a job as a worker does that obeys the limits. */
const claim = (store: Database, jobs: Job[], serverId: string): Promise<unknown[]> =>
  store.jobRuns.claimJobs(
    jobs.map(({ id }) => ({
      ...{
        jobId: id,
        attempt: 1,
        ticketNumber: 0,
        serverId,
        workerId: "worker-a",
        clientId: "client-a",
        isLimited: true,
      },
      promptId: uuidv7(),
    })),
    60_000,
  );
const freshServer = async (): Promise<string> => {
  const [server] = await one.servers.registerServers([{ url: `http://${uuidv7()}:8188`, slots: 2 }]);
  return server!.id;
};
const limitRunning = (tenantId: string, jobsRunningMax: number): Promise<void> =>
  one.tenantLimits.saveChoices(tenantId, { ...noTenantLimitChoices, jobsRunningMax }, by);
const ticketsOf = (jobs: Job[]): TicketReference[] =>
  jobs.map(({ id }) => ({ jobId: id, attempt: 1, ticketNumber: 0 }));

test("never lets more jobs of a tenant run than its limit, however many workers claim at the same time", async () => {
  const [limited, free] = [await freshTenant(), await freshTenant()];
  await limitRunning(limited, 3);
  const serverId = await freshServer();
  const jobs = await insert(one, limited, 20);
  const others = await insert(one, free, 5);
  const won = await Promise.all([
    ...jobs.map((job, index) => claim(index % 2 === 0 ? one : other, [job], serverId)),
    claim(one, [...others, ...jobs.slice(0, 4)], serverId),
  ]);
  expect((await one.jobReader.of(limited).summarizeQueue()).counts).toMatchObject({
    processing: 3,
    queued: 17,
  });
  expect((await one.jobReader.of(free).summarizeQueue()).counts).toMatchObject({ processing: 5, queued: 0 });
  expect(won.flat()).toHaveLength(8);
});

test("of several claims at once, those of the first jobs in a limited tenant's queue succeed", async () => {
  const tenantId = await freshTenant();
  await limitRunning(tenantId, 2);
  const jobs = await insert(one, tenantId, 5);
  const won = await claim(one, [...jobs].reverse(), await freshServer());
  expect(new Set(won)).toEqual(
    new Set(jobs.slice(0, 2).map(({ id }) => expect.objectContaining({ jobId: id }) as unknown)),
  );
});

test("candidates say how many jobs their tenant may still have running", async () => {
  const [limited, free] = [await freshTenant(), await freshTenant()];
  await limitRunning(limited, 2);
  const jobs = await insert(one, limited, 3);
  const others = await insert(one, free, 2);
  await claim(one, jobs.slice(0, 1), await freshServer());
  const candidates = await one.jobRuns.readCandidates(ticketsOf([...jobs, ...others]));
  expect(new Map(candidates.map(({ tenantId, tenantRoom }) => [tenantId, tenantRoom]))).toEqual(
    new Map([
      [limited, 1],
      [free, null],
    ]),
  );
});

test("announces as many jobs of a limited tenant as it has places, and all jobs of others", async () => {
  const [limited, free] = [await freshTenant(), await freshTenant()];
  await limitRunning(limited, 2);
  const jobs = await insert(one, limited, 5);
  const others = await insert(one, free, 5);
  const unannounced = async (all: Job[]): Promise<string[]> =>
    (await one.jobAnnouncer.listUnannounced(10_000))
      .map(({ jobId }) => jobId)
      .filter((jobId) => all.some(({ id }) => id === jobId));
  expect(await unannounced(others)).toHaveLength(5);
  expect(await unannounced(jobs)).toEqual(jobs.slice(0, 2).map(({ id }) => id));
  await one.jobAnnouncer.markEnqueued(ticketsOf(jobs.slice(0, 1)));
  expect(await unannounced(jobs)).toEqual([jobs[1]!.id]);
  await claim(one, jobs.slice(0, 2), await freshServer());
  expect(await unannounced(jobs)).toEqual([]);
});

test("counts the tickets of a limited tenant however old they are, but not in lanes that no server serves", async () => {
  const tenantId = await freshTenant();
  await limitRunning(tenantId, 2);
  const insertIn = (name: string): Promise<Job[]> =>
    one.jobRequests.insertJobs({
      ...{ tenantId, batch: { id: uuidv7(), name: null } },
      jobs: Array.from({ length: 4 }, () => buildJob({ prompt: uuidv7(), lane: buildLane(name) })),
    });
  const [away, here] = [await insertIn(`away-${tenantId}`), await insertIn(`here-${tenantId}`)];
  const idsOf = (jobs: Job[]): string[] => jobs.map(({ id }) => id);
  const unannounced = async (): Promise<string[]> =>
    (await one.jobAnnouncer.listUnannounced(10_000))
      .map(({ jobId }) => jobId)
      .filter((jobId) => idsOf([...away, ...here]).includes(jobId));
  const announceLongAgo = async (jobs: Job[]): Promise<void> => {
    await one.jobAnnouncer.markEnqueued(ticketsOf(jobs));
    const client = new pg.Client({ connectionString: scratch.url });
    await client.connect();
    await client.query("UPDATE jobs SET enqueued_at = now() - interval '5 minutes' WHERE id = ANY ($1)", [
      idsOf(jobs),
    ]);
    await client.end();
  };

  await announceLongAgo(away.slice(0, 2));
  expect(await unannounced()).toEqual(idsOf(here.slice(0, 2)));
  await announceLongAgo(here.slice(0, 2));
  await one.laneServing.noteServed([here[0]!.lane]);
  expect(await unannounced()).toEqual([]);

  const [first] = await claim(one, here.slice(0, 1), await freshServer());
  expect(first).toBeDefined();
  expect(await unannounced()).toEqual([]);
  await one.laneServing.noteServed([away[0]!.lane]);
  expect(await unannounced()).toEqual([]);
});

test("announces jobs of a limited tenant in each lane, since its first lane may be served by few servers", async () => {
  const tenantId = await freshTenant();
  await limitRunning(tenantId, 2);
  const insertIn = (name: string): Promise<Job[]> =>
    one.jobRequests.insertJobs({
      ...{ tenantId, batch: { id: uuidv7(), name: null } },
      jobs: Array.from({ length: 4 }, () => buildJob({ prompt: uuidv7(), lane: buildLane(name) })),
    });
  const [first, second] = [await insertIn(`first-${tenantId}`), await insertIn(`second-${tenantId}`)];
  const unannounced = async (): Promise<string[]> =>
    (await one.jobAnnouncer.listUnannounced(10_000))
      .map(({ jobId }) => jobId)
      .filter((jobId) => [...first, ...second].some(({ id }) => id === jobId));

  await one.jobAnnouncer.markEnqueued(ticketsOf(first.slice(0, 2)));
  expect(await unannounced()).toEqual(second.slice(0, 2).map(({ id }) => id));
  await one.jobAnnouncer.markEnqueued(ticketsOf(second.slice(0, 2)));
  expect(await unannounced()).toEqual([]);

  await claim(one, first.slice(0, 1), await freshServer());
  await one.jobAnnouncer.holdBack([tenantId]);
  expect(await unannounced()).toEqual([]);
  await claim(one, second.slice(0, 1), await freshServer());
  await one.jobAnnouncer.holdBack([tenantId]);
  expect(await unannounced()).toEqual([]);
});

test("announces and claims a job of a limited tenant by the band that it has moved up to", async () => {
  const tenantId = await freshTenant();
  await limitRunning(tenantId, 1);
  const insertWith = async (priority: JobPriority): Promise<Job> => {
    const jobs = [buildJob({ prompt: uuidv7(), priority })];
    const [job] = await one.jobRequests.insertJobs({ tenantId, batch: null, jobs });
    return job!;
  };
  const old = await insertWith("normal");
  await one.jobAnnouncer.markEnqueued(ticketsOf([old]));
  expect((await one.jobAnnouncer.ageJobs(0, 1_000)).map(({ jobId }) => jobId)).toContain(old.id);
  const high = await insertWith("high");
  const all = await one.jobAnnouncer.listUnannounced(10_000);
  const own = all.filter(({ jobId }) => jobId === old.id || jobId === high.id);
  expect(own).toEqual([expect.objectContaining({ jobId: old.id, priority: "normal", agedBands: 1 })]);
  const tickets = [old, high].map(({ id }) => ({
    jobId: id,
    attempt: 1,
    ticketNumber: id === old.id ? 1 : 0,
  }));
  const candidates = await one.jobRuns.readCandidates(tickets);
  expect(candidates.map(({ jobId }) => jobId)).toEqual([old.id, high.id]);
  const place = {
    serverId: await freshServer(),
    workerId: "worker-a",
    clientId: "client-a",
    isLimited: true,
  };
  const claims = tickets.map((ticket) => ({ ...ticket, ...place, promptId: uuidv7() }));
  expect(await one.jobRuns.claimJobs(claims, 60_000)).toEqual([expect.objectContaining({ jobId: old.id })]);
});

test("holds back the tickets of a tenant that has reached its limit of running jobs, and no others", async () => {
  const [limited, free] = [await freshTenant(), await freshTenant()];
  await limitRunning(limited, 1);
  const jobs = await insert(one, limited, 4);
  const others = await insert(one, free, 4);
  await one.jobAnnouncer.markEnqueued(ticketsOf([...jobs, ...others]));
  expect(await one.jobAnnouncer.holdBack([limited, free])).toEqual([]);
  await claim(one, jobs.slice(0, 1), await freshServer());
  const heldBack = await one.jobAnnouncer.holdBack([limited, free]);
  expect(new Set(heldBack.map(({ jobId }) => jobId))).toEqual(new Set(jobs.slice(1).map(({ id }) => id)));
  expect(heldBack[0]).toMatchObject({ attempt: 1, ticketNumber: 0, lane: "default" });
  // A worker may hold one of these tickets: it is stale, and the job's next ticket has another id.
  expect(await one.jobRuns.readCandidates(heldBack)).toEqual([]);
  const again = heldBack.map((ticket) => ({ ...ticket, ticketNumber: 1 }));
  expect(await one.jobRuns.readCandidates(again)).toHaveLength(3);
});
