import { expect } from "@jest/globals";
import {
  IllegalTransitionError,
  InvalidJobError,
  NeededJobEndedError,
  takenBackCode,
  type AttemptEnd,
  type Job,
  type JobLease,
  type PassedOn,
  type WaitingChange,
} from "@genga/jobs";
import { buildFailure, buildJob, buildLane, buildOutput, buildProgress } from "@genga/testing";
import { v7 as uuidv7 } from "uuid";
import { type endKinds, type Write } from "./history-writes.ts";
import { type Author } from "./job-model.ts";
import { type TestStores } from "./test-stores.ts";

/** Runs writes at the same time, and keeps the answers. */
export class Writers {
  readonly #stores: TestStores;
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
    stores: TestStores,
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
      if (result === null || result === "removed" || !("event" in result)) return;
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
