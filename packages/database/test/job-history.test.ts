import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import {
  IllegalTransitionError,
  InvalidJobError,
  NeededJobEndedError,
  takenBackCode,
  type AttemptEnd,
  type Job,
  type JobEvent,
  type JobLease,
  type JobPhase,
  type WaitingChange,
  type PassedOn,
} from "@genga/jobs";
import { buildFailure, buildJob, buildLane, buildOutput, buildProgress } from "@genga/testing";
import { brokenDependencies } from "./dependency-rules.ts";
import { judge, type Author } from "./job-model.ts";
import { openTestStores } from "./test-stores.ts";

// All kinds of writes to jobs run in random order, many at the same time over connections of their own, and a model
// judges each history. `HISTORY_SEEDS=10000 npm test -- packages/database/test/job-history.test.ts` runs ten thousand
// seeds (minutes); `HISTORY_FIRST_SEED=N` begins at that seed. A seed always plans the same writes, but PostgreSQL
// decides in which order statements that run at the same time take effect.

const seeds = Number(process.env["HISTORY_SEEDS"] ?? 40);
const firstSeed = Number(process.env["HISTORY_FIRST_SEED"] ?? 1);
/**
 * How many groups of seeds run side by side. Each has a database of its own, because sweeps change every job that they
 * find.
 */
const lanes = seeds > 1_000 ? 3 : 1;

type Stores = Awaited<ReturnType<typeof openTestStores>>;
interface Lane {
  stores: Stores;
  tenantId: string;
  /** A connection that reads rows directly. */
  observer: pg.Client;
}

const open: Lane[] = [];
beforeAll(async () => {
  for (let lane = 0; lane < lanes; lane += 1) {
    const stores = await openTestStores();
    const observer = new pg.Client({ connectionString: stores.url });
    await observer.connect();
    open.push({ stores, observer, tenantId: (await stores.tenants.defaultTenant()).id });
  }
});
afterAll(async () => {
  for (const { stores, observer } of open) {
    await observer.end();
    await stores.close();
  }
});

const jobsInPlay = 3;
/** Which jobs each job of the batch needs, by their places. */
const shapes = {
  "no job needs another": [[], [], []],
  "a chain": [[], [0], [1]],
  "one needs two": [[], [], [0, 1]],
  "two need one": [[], [0], [0]],
} as const;
const anyShape = fc.constantFrom(...(Object.keys(shapes) as (keyof typeof shapes)[]));
const endKinds = ["completed", "failed", "timeout", "cancelled", "requeue", "take-back"] as const;
const phases: JobPhase[] = ["waiting", "submitted", "executing", "saving"];
/** Also of the jobs that were accepted meanwhile. */
const anyJob = fc.nat(jobsInPlay);
const anyLease = fc.nat(20);

const ends = fc.record({
  do: fc.constant("end" as const),
  lease: anyLease,
  as: fc.constantFrom(...endKinds),
});

/** A write that some process may try at any moment, sensible or not. `job` and `lease` pick among those that exist. */
const writes = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("claim", "claim by the ticket of attempt 1", "claim by a stale ticket"),
      job: anyJob,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("claim for the empty server" as const), job: anyJob }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("cancel", "retry", "enqueued"), job: anyJob }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("pause", "resume", "make urgent", "make low"), job: anyJob }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("remove", "accept after"), job: anyJob }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("renew", "release", "take over"), lease: anyLease }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("ask for", "begin to take back"), lease: anyLease }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...([
          "adopt",
          "abandon",
          "expire",
          "cancel batch",
          "retry batch",
          "fold counts",
          "assign",
          "age",
          "move lanes",
        ] as const),
        ...(["pause batch", "resume batch", "make batch high"] as const),
        ...(["pass on"] as const),
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ do: fc.constant("progress" as const), lease: anyLease },
      ...{ phase: fc.constantFrom(...phases), percent: fc.nat(100) },
    }),
  },
  { weight: 4, arbitrary: ends },
);

type Write = typeof writes extends fc.Arbitrary<infer Value> ? Value : never;

/** Runs writes at the same time, and keeps the answers. */
class Writers {
  readonly #stores: Stores;
  readonly #tenantId: string;
  readonly #serverId: string;
  /** Stands empty, since only jobs whose prompts were taken back go there. */
  readonly #emptyServerId: string;
  /** The leases under which somebody has begun to take the prompt back: once by each owner of an attempt. */
  readonly #takeBacksBegun = new Set<string>();
  readonly #batchId: string;
  /** Grows as jobs are accepted. */
  readonly #jobIds: string[];
  readonly #leases: JobLease[] = [];
  readonly #authors = new Map<string, Map<number, Author[]>>();
  removals = 0;

  constructor(
    stores: Stores,
    ids: { tenantId: string; serverId: string; emptyServerId: string; batchId: string; jobIds: string[] },
  ) {
    this.#stores = stores;
    this.#tenantId = ids.tenantId;
    this.#serverId = ids.serverId;
    this.#emptyServerId = ids.emptyServerId;
    this.#batchId = ids.batchId;
    this.#jobIds = ids.jobIds;
  }

  authorsOf(jobId: string): ReadonlyMap<number, Author[]> {
    return this.#authors.get(jobId) ?? new Map<number, Author[]>();
  }

  leaseOf(write: Write): JobLease | undefined {
    return "lease" in write ? this.#leases[write.lease % Math.max(this.#leases.length, 1)] : undefined;
  }

  async run(write: Write): Promise<void> {
    if ("lease" in write) await this.#underLease(write);
    else if ("job" in write)
      await this.#request(write.do, this.#jobIds[write.job % this.#jobIds.length] ?? "");
    else await this.#sweep(write.do);
  }

  #note(at: { jobId: string; sequence: number }, author: Author): void {
    const ofJob = this.#authors.get(at.jobId) ?? new Map<number, Author[]>();
    this.#authors.set(at.jobId, ofJob);
    ofJob.set(at.sequence, [...(ofJob.get(at.sequence) ?? []), author]);
  }

  async #claim(jobId: string, old?: "attempt" | "ticket"): Promise<void> {
    const job = await this.#stores.jobRuns.findJob(jobId);
    if (job === null || job === "removed") return;
    const claim = {
      jobId,
      attempt: old === "attempt" ? 1 : job.attempt + 1,
      ticketNumber: old === "ticket" ? job.ticketNumber - 1 : job.ticketNumber,
      serverId: this.#serverId,
      promptId: uuidv7(),
    };
    const claims = [{ ...claim, workerId: "worker-a", clientId: "client-a" }];
    for (const leased of await this.#stores.jobRuns.claimJobs(claims, 60_000)) {
      if (old === "ticket") throw new Error(`Job ${jobId} was claimed by a ticket that was stale.`);
      this.#leases.push(leased);
      this.#note({ jobId, sequence: leased.job.eventSequence }, { type: "claimed", given: leased });
    }
  }

  /** Without a ticket, and before others may: only if the prompt was taken back for that server. */
  async #claimForEmptyServer(jobId: string): Promise<void> {
    const job = await this.#stores.jobRuns.findJob(jobId);
    if (job === null || job === "removed") return;
    const claim = {
      ...{ jobId, attempt: job.attempt + 1, ticketNumber: job.ticketNumber, promptId: uuidv7() },
      ...{ serverId: this.#emptyServerId, workerId: "worker-e", clientId: "client-e" },
    };
    const [attemptBefore] = (await this.#stores.jobReader.of(this.#tenantId).listAttempts(jobId)).slice(-1);
    for (const leased of await this.#stores.takeBacks.claim([claim], 60_000)) {
      if (attemptBefore?.failure?.code !== takenBackCode)
        throw new Error(`Job ${jobId} was claimed for a server for which it was not taken back.`);
      this.#leases.push(leased);
      this.#note({ jobId, sequence: leased.job.eventSequence }, { type: "claimed", given: leased });
    }
  }

  async #beginTakeBack(lease: JobLease): Promise<void> {
    const forServerId = await this.#stores.takeBacks.begin(lease);
    if (forServerId === null) return;
    expect(forServerId).toBe(this.#emptyServerId);
    const owned = `${lease.jobId} ${lease.leaseNumber}`;
    if (this.#takeBacksBegun.has(owned)) throw new Error(`Two take-backs under lease ${owned} were begun.`);
    this.#takeBacksBegun.add(owned);
  }

  /** As an announcer does: it reads the row, adds the ticket, and then records it. */
  async #markEnqueued(jobId: string): Promise<void> {
    const job = await this.#stores.jobRuns.findJob(jobId);
    if (job === null || job === "removed") return;
    const ticket = { jobId, attempt: job.attempt + 1, ticketNumber: job.ticketNumber };
    await this.#stores.jobAnnouncer.markEnqueued([ticket]);
  }

  async #adopt(): Promise<void> {
    for (const leased of await this.#stores.jobRuns.adoptJobs([this.#serverId], "worker-b", 60_000)) {
      this.#leases.push(leased);
      const at = { jobId: leased.jobId, sequence: leased.job.eventSequence };
      this.#note(at, { type: "adopted", given: leased });
    }
  }

  async #request(what: Extract<Write, { job: number }>["do"], jobId: string): Promise<void> {
    const { jobRequests } = this.#stores;
    if (what === "claim") await this.#claim(jobId);
    else if (what === "claim by the ticket of attempt 1") await this.#claim(jobId, "attempt");
    else if (what === "claim by a stale ticket") await this.#claim(jobId, "ticket");
    else if (what === "claim for the empty server") await this.#claimForEmptyServer(jobId);
    else if (what === "enqueued") await this.#markEnqueued(jobId);
    else if (what === "cancel") {
      const result = await jobRequests.requestCancel(jobId);
      if (result === null || result === "removed" || result.outcome === "ended") return;
      if (result.event !== null) this.#note(result.event, { type: cancelEvents[result.outcome] });
      if (result.outcome === "cancelled") this.#noteFailures(result.passedOn);
    } else if (what === "accept after") {
      const job = buildJob({ attemptsMax: 9, dependsOn: [jobId] });
      const submission = { tenantId: this.#tenantId, batch: null, jobs: [job] };
      if ((await unlessIllegal(jobRequests.insertJobs(submission))) !== undefined) this.#jobIds.push(job.id);
    } else if (what === "retry") {
      const job = await unlessIllegal(jobRequests.retryJob(jobId));
      if (job !== undefined && job !== null && job !== "removed") this.#noteRetry(job);
    } else if (what === "make urgent" || what === "make low") {
      const priority = what === "make low" ? "low" : "urgent";
      const change = await jobRequests.changePriorityOfJob(jobId, priority);
      if (change !== null && change !== "removed") this.#noteChanges([change]);
    } else if (what === "pause" || what === "resume") {
      const change = await (what === "pause" ? jobRequests.pauseJob(jobId) : jobRequests.resumeJob(jobId));
      if (change !== null && change !== "removed") this.#noteChanges([change]);
    } else {
      const tell = (passedOn: PassedOn): void => {
        this.#noteFailures(passedOn);
      };
      const removed = await unlessIllegal(jobRequests.removeJob(jobId, undefined, tell));
      if (typeof removed === "object") this.removals += 1;
    }
  }

  #noteChanges(changes: WaitingChange[]): void {
    for (const { event } of changes) if (event !== null) this.#note(event, { type: event.type });
  }

  #noteRetry(job: Job): void {
    this.#note({ jobId: job.id, sequence: job.eventSequence }, { type: "retry_requested" });
  }

  #noteFailures(passedOn: PassedOn | undefined): void {
    for (const { event } of passedOn?.failed ?? []) this.#note(event, { type: "failed" });
  }

  /** Tells all dependents of the ends that no transaction has told them. */
  async passOnAll(): Promise<void> {
    for (;;) {
      const passedOn = await this.#stores.jobRuns.passOnEnds(3);
      this.#noteFailures(passedOn);
      if (passedOn.isDone) return;
    }
  }

  async #sweep(what: Exclude<Write, { job: number } | { lease: number }>["do"]): Promise<void> {
    const { jobRequests, jobRuns } = this.#stores;
    if (what === "adopt") await this.#adopt();
    else if (what === "age") await this.#stores.jobAnnouncer.ageJobs(0, 2);
    else if (what === "move lanes") await this.#moveLanes();
    else if (what === "fold counts") await this.#stores.keeping.foldCounts(3);
    else if (what === "assign") await this.#stores.eventSequencer.assignPositions(3);
    else if (what === "pass on") this.#noteFailures(await jobRuns.passOnEnds(1));
    else if (what === "abandon") {
      for (const { event } of await jobRuns.requeueAbandoned(0))
        this.#note(event, { type: event.type, takesOver: true });
    } else if (what === "expire") {
      for (const { event } of await jobRuns.expireQueued(100)) this.#note(event, { type: "timeout" });
    } else if (what === "cancel batch") {
      const { cancelled, requested, passedOn } = await jobRequests.cancelBatch(this.#batchId);
      this.#noteFailures(passedOn);
      for (const { event } of cancelled) this.#note(event, { type: "cancelled" });
      for (const { event } of requested) this.#note(event, { type: "cancel_requested" });
    } else if (what === "pause batch") this.#noteChanges(await jobRequests.pauseBatch(this.#batchId));
    else if (what === "make batch high")
      this.#noteChanges(await jobRequests.changePriorityOfBatch(this.#batchId, "high"));
    else if (what === "resume batch") this.#noteChanges(await jobRequests.resumeBatch(this.#batchId));
    else for (const job of await jobRequests.retryBatch(this.#batchId)) this.#noteRetry(job);
  }

  /** Some of the jobs turn out to need something else of a server. */
  async #moveLanes(): Promise<void> {
    const { guessedLanes } = this.#stores;
    for (const [from, to] of [
      ["default", "moved"],
      ["moved", "moved-again"],
    ] as const) {
      const jobs = await guessedLanes.listJobsOf(from, null, 2);
      await guessedLanes.moveJobs(
        from,
        jobs.map((job) => ({ job, lane: buildLane(to) })),
      );
    }
  }

  async #underLease(write: Extract<Write, { lease: number }>): Promise<void> {
    const under = this.leaseOf(write);
    if (under === undefined) return;
    const { jobRuns } = this.#stores;
    if (write.do === "progress") {
      const reports = [{ ...under, phase: write.phase, progress: buildProgress(write.percent) }];
      for (const event of await jobRuns.recordProgress(reports))
        this.#note(event, { type: event.type, under });
    } else if (write.do === "end") {
      const end = endOf(write.as, under, this.#emptyServerId);
      const result = await jobRuns.endAttempt(under, end);
      if (!result.held) return;
      this.#note(result.event, { type: result.event.type, under, end });
      this.#noteFailures(result.passedOn);
    } else if (write.do === "ask for") await this.#stores.takeBacks.ask(under, this.#emptyServerId);
    else if (write.do === "begin to take back") await this.#beginTakeBack(under);
    else if (write.do === "renew") await jobRuns.renewLeases([under], 60_000);
    else {
      await jobRuns.releaseLeases([under]);
      if (write.do === "take over") await this.#adopt();
    }
  }
}

const cancelEvents = { cancelled: "cancelled", requested: "cancel_requested" } as const;

async function unlessIllegal<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked;
  } catch (error) {
    const isRefusal = [IllegalTransitionError, InvalidJobError, NeededJobEndedError].some(
      (type) => error instanceof type,
    );
    if (isRefusal) return undefined;
    throw error;
  }
}

/**
 * The end of this kind for this attempt and lease; always the same, as a worker that repeats an end sends the same
 * again.
 */
function endOf(
  kind: (typeof endKinds)[number],
  { attempt, leaseNumber }: JobLease,
  emptyServerId: string,
): AttemptEnd {
  const failure = buildFailure();
  if (kind === "take-back") {
    const takenBack = buildFailure({ class: "server", code: takenBackCode });
    const how = { delayMs: 60_000, charged: false, avoidServer: true, takenBackFor: emptyServerId };
    return { kind: "requeue", failure: takenBack, ...how };
  }
  if (kind === "completed") return { kind, outputs: [buildOutput()] };
  if (kind !== "requeue") return kind === "cancelled" ? { kind } : { kind, failure };
  const counts = (["crash", "outOfMemory", undefined] as const)[attempt % 3];
  return {
    ...{ kind, failure, delayMs: 0, charged: leaseNumber % 2 === 0, avoidServer: true },
    ...(counts !== undefined && { counts }),
  };
}

/** A job's row in PostgreSQL, by the names of its columns. */
interface Row {
  id: string;
  status: string;
  attempt: number;
  lease_number: number;
  ticket_number: number;
  event_sequence: number;
  percent: number;
  enqueued_at: string | null;
  paused_at: string | null;
  needs_others: boolean;
}

async function rowsOf({ observer }: Lane, batchId: string): Promise<Map<string, Row>> {
  const { rows } = await observer.query<{ row: Row }>(
    `SELECT to_jsonb(jobs) || jsonb_build_object('needs_others',
       EXISTS (SELECT FROM job_dependencies WHERE job_id = jobs.id)) AS row
     FROM jobs WHERE batch_id = $1`,
    [batchId],
  );
  return new Map(rows.map(({ row }) => [row.id, row]));
}

/** Starts a seed: its jobs and its writers. */
async function begin(
  lane: Lane,
  expiresInMs: number | null,
  shape: keyof typeof shapes = "no job needs another",
): Promise<{ batchId: string; jobIds: string[]; writers: Writers }> {
  const { stores, tenantId } = lane;
  const [server, empty] = await stores.servers.registerServers([
    { url: `http://${uuidv7()}`, slots: 9 },
    { url: `http://${uuidv7()}`, slots: 1 },
  ]);
  const [owned] = await stores.servers.acquireServers("worker-e", [empty!.id], 1, 600_000);
  await stores.servers.setServerState(owned!, "online", null);
  const batchId = uuidv7();
  const ids = Array.from({ length: jobsInPlay }, () => uuidv7());
  const jobs = await stores.jobRequests.insertJobs({
    ...{ tenantId, batch: { id: batchId, name: null } },
    jobs: ids.map((id, batchIndex) =>
      buildJob({
        ...{ id, attemptsMax: 9, batchIndex },
        dependsOn: (shapes[shape][batchIndex] ?? []).map((place) => ids[place]!),
        ...(batchIndex === 0 && expiresInMs !== null && { expiresAt: new Date(Date.now() + expiresInMs) }),
      }),
    ),
  });
  const jobIds = jobs.map(({ id }) => id);
  return {
    batchId,
    jobIds,
    writers: new Writers(stores, {
      tenantId,
      serverId: server!.id,
      emptyServerId: empty!.id,
      batchId,
      jobIds,
    }),
  };
}

/**
 * The counts that were added up as jobs came, were claimed, ended, restarted and were removed equal the real counts,
 * whatever the order.
 */
async function assertCounted({ observer }: Lane): Promise<void> {
  const { rows } = await observer.query(`
    WITH counted AS (
      SELECT tenant_id AS owner, status, jobs, bytes FROM tenant_job_counts
      UNION ALL SELECT tenant_id, status, jobs, bytes FROM ended_job_changes
      UNION ALL SELECT batch_id, status, jobs, 0 FROM batch_job_counts
      UNION ALL SELECT batch_id, status, jobs, 0 FROM ended_job_changes WHERE batch_id IN (SELECT id FROM batches)
    ), true_count AS (
      SELECT tenant_id AS owner, status, -count(*) AS jobs, -sum(output_bytes) AS bytes FROM jobs
      WHERE finished_at IS NOT NULL GROUP BY tenant_id, status
      UNION ALL SELECT batch_id, status, -count(*), 0 FROM jobs
      WHERE finished_at IS NOT NULL AND batch_id IS NOT NULL GROUP BY batch_id, status
    )
    SELECT owner, status, sum(jobs) AS jobs, sum(bytes) AS bytes
    FROM (SELECT * FROM counted UNION ALL SELECT * FROM true_count) AS compared
    GROUP BY owner, status HAVING sum(jobs) <> 0 OR sum(bytes) <> 0`);
  expect(rows).toEqual([]);
  const { rows: queued } = await observer.query(`
    SELECT tenant_id, lane, sum(jobs) AS jobs FROM (
      SELECT tenant_id, lane, jobs FROM queued_job_counts
      UNION ALL SELECT tenant_id, lane, jobs FROM queued_job_changes
      UNION ALL SELECT tenant_id, lane, -1 FROM jobs WHERE status = 'queued'
    ) AS compared GROUP BY tenant_id, lane HAVING sum(jobs) <> 0`);
  expect(queued).toEqual([]);
}

/** Each event has one position, in the order of its job, and removed jobs have none. */
async function assertPlaced({ stores, observer }: Lane): Promise<void> {
  while ((await stores.eventSequencer.assignPositions(7)) > 0);
  const { rows } = await observer.query(`
    SELECT event.job_id, event.sequence, place.job_id AS placed FROM job_events event
    FULL JOIN event_positions place USING (job_id, sequence) WHERE event.job_id IS NULL OR place.job_id IS NULL
    UNION ALL
    SELECT job_id, sequence, job_id FROM (
      SELECT job_id, sequence, row_number() OVER (PARTITION BY job_id ORDER BY position) AS place FROM event_positions
    ) AS ranked WHERE sequence <> place`);
  expect(rows).toEqual([]);
}

/** No number of a row falls. A paused job is queued, and has no ticket. A single write under a lease that the row no longer has leaves the row unchanged. */
function assertOnward(before: Map<string, Row>, after: Map<string, Row>, alone: JobLease | null): void {
  for (const [id, row] of after) {
    const was = before.get(id);
    if (was === undefined) throw new Error(`Job ${id} came back.`);
    for (const column of ["attempt", "lease_number", "event_sequence", "ticket_number"] as const)
      expect({ column, value: row[column] >= was[column] }).toEqual({ column, value: true });
    if (row.paused_at !== null) expect([row.status, row.enqueued_at]).toEqual(["queued", null]);
    const isSameRun =
      was.status === "processing" && row.status === "processing" && was.attempt === row.attempt;
    if (isSameRun) expect(row.percent).toBeGreaterThanOrEqual(was.percent);
    const isStale =
      alone?.jobId !== id ||
      was.status !== "processing" ||
      alone.attempt !== was.attempt ||
      alone.leaseNumber !== was.lease_number;
    // The end of a job also changes those that depend on it.
    if (alone !== null && isStale && !row.needs_others) expect(row).toEqual(was);
  }
}

async function judgeAll(
  { stores, tenantId }: Lane,
  { batchId, jobIds, writers }: Awaited<ReturnType<typeof begin>>,
): Promise<Job[]> {
  const jobs = stores.jobReader.of(tenantId);
  const found = await Promise.all(jobIds.map((id) => jobs.findJob(id)));
  const left: Job[] = [];
  for (const [index, job] of found.entries()) {
    const id = jobIds[index]!;
    const [events, attempts, outputs] = await Promise.all([
      jobs.listEvents(id, 0, 1_000),
      jobs.listAttempts(id),
      jobs.listOutputs(id),
    ]);
    if (job === "removed") expect([events, attempts, outputs]).toEqual([[], [], []]);
    else if (job === null) throw new Error(`Job ${id} is unknown.`);
    else {
      judge({ job, events, attempts, outputs, authors: writers.authorsOf(id) });
      left.push(job);
    }
  }
  expect(writers.removals).toBe(jobIds.length - left.length);
  const batch = await jobs.findBatch(batchId);
  const inBatch = left.filter((job) => job.batchId === batchId);
  expect(batch === null).toBe(inBatch.length === 0);
  if (batch === null) return left;
  const counts: Record<string, number> = {};
  for (const { status } of inBatch) counts[status] = (counts[status] ?? 0) + 1;
  expect(batch).toMatchObject({ total: jobsInPlay, counts });
  expect(Object.values(batch.counts).reduce((sum, count) => sum + count, 0)).toBe(inBatch.length);
  return left;
}

/** Runs the property once for each seed, so that each seed can be repeated alone. */
async function forSeeds<Plan>(
  arbitrary: fc.Arbitrary<Plan>,
  run: (lane: Lane, plan: Plan) => Promise<void>,
): Promise<void> {
  let next = firstSeed;
  const results = await Promise.allSettled(
    open.map(async (lane) => {
      while (next < firstSeed + seeds) {
        const seed = next;
        next += 1;
        const property = fc.asyncProperty(arbitrary, (plan) => run(lane, plan));
        try {
          await fc.assert(property, { seed, numRuns: 1, endOnFailure: true });
        } catch (error) {
          next = Infinity; // the other lanes finish their seeds
          throw error;
        }
      }
    }),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

const timeoutMs = 30_000 + seeds * 1_000;

test(
  "the model accepts every history, however the writes interleave",
  async () => {
    const step = fc.oneof(
      fc.array(writes, { minLength: 1, maxLength: 1 }),
      fc.array(writes, { minLength: 2, maxLength: 6 }),
    );
    const plan = fc.record({
      steps: fc.array(step, { minLength: 4, maxLength: 14 }),
      expiresInMs: fc.option(fc.nat(40)),
      shape: anyShape,
    });
    await forSeeds(plan, async (lane, { steps, expiresInMs, shape }) => {
      const play = await begin(lane, expiresInMs, shape);
      let before = await rowsOf(lane, play.batchId);
      for (const writesAtOnce of steps) {
        const [only, ...others] = writesAtOnce;
        // A take-over also changes other jobs, those with expired leases, so it is no single write.
        const isAlone = only !== undefined && others.length === 0 && only.do !== "take over";
        const alone = isAlone ? (play.writers.leaseOf(only) ?? null) : null;
        await Promise.all(writesAtOnce.map((write) => play.writers.run(write)));
        const after = await rowsOf(lane, play.batchId);
        assertOnward(before, after, alone);
        await assertCounted(lane);
        before = after;
      }
      await play.writers.passOnAll();
      expect(await brokenDependencies(lane.observer)).toEqual([]);
      await judgeAll(lane, play);
      await assertPlaced(lane);
    });
  },
  timeoutMs,
);

test(
  "a cancel that races the end of its job has one outcome, which both callers are told",
  async () => {
    const racers = fc.record({
      cancels: fc.array(fc.constantFrom("cancel", "cancel batch"), { minLength: 1, maxLength: 2 }),
      end: ends.map((end) => ({ ...end, lease: 0 })),
      also: fc.array(fc.constantFrom("renew", "take over", "end again", "release"), { maxLength: 2 }),
      phase: fc.constantFrom(...phases),
      cancelFirst: fc.boolean(),
    });
    await forSeeds(racers, async (lane, { cancels, end, also, phase, cancelFirst }) => {
      const play = await begin(lane, null);
      await play.writers.run({ do: "claim", job: 0 });
      await play.writers.run({ do: "progress", lease: 0, phase, percent: 50 });
      const asked = cancels.map((what): Write =>
        what === "cancel" ? { do: "cancel", job: 0 } : { do: "cancel batch" },
      );
      const others = also.map((what): Write => (what === "end again" ? end : { do: what, lease: 0 }));
      const race = cancelFirst ? [...asked, end, ...others] : [end, ...others, ...asked];
      await Promise.all(race.map((write) => play.writers.run(write)));
      const [job] = await judgeAll(lane, play);
      const events: JobEvent[] = await lane.stores.jobReader
        .of(lane.tenantId)
        .listEvents(play.jobIds[0]!, 0, 100);
      const wasAsked = events.some(({ type }) => type === "cancel_requested");
      if (job?.status === "processing") return; // the take-over came first, so the first holder's writes had no effect
      if (end.as === "requeue" || end.as === "take-back" || end.as === "cancelled")
        expect(job?.status).toBe("cancelled");
      else expect(job).toMatchObject({ status: end.as, cancelTooLate: end.as === "completed" && wasAsked });
    });
  },
  timeoutMs,
);

test(
  "no job that is queued again escapes the pause of its batch, or misses its resumption",
  async () => {
    const again = fc.constantFrom("is queued", "is requeued", "is retried", "is retried with its batch");
    const plan = fc.record({ first: again, second: again, order: fc.nat(5), isResumed: fc.boolean() });
    await forSeeds(plan, async (lane, { first, second, order, isResumed }) => {
      const play = await begin(lane, null);
      const writes: Write[] = [];
      let claims = 0;
      for (const [job, how] of [first, second].entries()) {
        if (how === "is queued") continue;
        await play.writers.run({ do: "claim", job });
        const lease = claims;
        claims += 1;
        if (how === "is requeued") writes.push({ do: "end", lease, as: "requeue" });
        else {
          await play.writers.run({ do: "end", lease, as: "failed" });
          writes.push(how === "is retried" ? { do: "retry", job } : { do: "retry batch" });
        }
      }
      if (isResumed) await play.writers.run({ do: "pause batch" });
      writes.splice(order % (writes.length + 1), 0, { do: isResumed ? "resume batch" : "pause batch" });
      await Promise.all(writes.map((write) => play.writers.run(write)));
      const jobs = await judgeAll(lane, play);
      expect(jobs.map(({ status }) => status)).toEqual(jobs.map(() => "queued"));
      expect(jobs.map(({ pausedAt }) => pausedAt === null)).toEqual(jobs.map(() => isResumed));
    });
  },
  timeoutMs,
);
