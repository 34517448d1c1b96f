import {
  type Batch,
  busyWith,
  doneAfterMs,
  isTerminal,
  type Job,
  type JobReader,
  type RunEstimate,
  type WorkOutlook,
} from "@genga/jobs";
import { type Sight } from "../access/sight.ts";
import { type Eta, type Etas, type InMs, type NoEta } from "../jobs/eta-view.ts";
import { type Waiting, type WaitingReasons, type WaitingRoom } from "../jobs/waiting-reason.ts";
import { type FarmWork } from "./farm-work.ts";
import { type JobDurations } from "./job-durations.ts";

export interface MeasuredEtasParts {
  jobs: Pick<JobReader, "of">;
  waitingReasons: WaitingReasons;
  durations: Pick<JobDurations, "estimate">;
  farmWork: FarmWork;
  outlook: Pick<WorkOutlook, "findBefore" | "findLastWaiting">;
  /** After this time servers leave the lane of their model for another one. */
  patienceMs: number;
}

const ended: NoEta = { code: "ended", message: "It has ended." };
const notMeasured: NoEta = { code: "not-measured", message: "No run like it was measured yet." };
const beforeNotMeasured: NoEta = {
  code: "not-measured",
  message: "Of what comes before it, no run was measured yet.",
};
const heldUp: NoEta = {
  code: "held-up",
  message: "Something else than other jobs keeps it from beginning; `waitingFor` of the job says what.",
};

/** The least width of the range of what comes before a job, however many jobs that are. */
const beforeFactorMin = 0.1;
/** A job that depends on others that depend on others, and so on: beyond this there is no estimate. */
const depthMax = 3;
const dependenciesMax = 10;

/**
 * Estimates by what was measured: of a running job as its worker said; of a waiting one from what the servers have, what
 * stands before it, and its own usual time. What it reads is bounded, however many jobs wait.
 */
export class MeasuredEtas implements Etas {
  readonly #with: MeasuredEtasParts;

  constructor(parts: MeasuredEtasParts) {
    this.#with = parts;
  }

  ofJob(job: Job, waiting: Waiting | null): Promise<Eta> {
    return this.#ofJob(job, waiting, 0);
  }

  /** It ends when its last job ends. */
  async ofBatch(batch: Batch, sight: Sight): Promise<Eta> {
    if (batch.counts.queued + batch.counts.processing === 0) return ended;
    const { farmWork, outlook, jobs, waitingReasons } = this.#with;
    const running = (await farmWork.running()).filter(({ batchId }) => batchId === batch.id).map(busyWith);
    if (running.includes(null)) return notMeasured;
    const ends: InMs[] = running.filter((busy) => busy !== null);
    const last = batch.counts.queued === 0 ? null : await outlook.findLastWaiting(batch.tenantId, batch.id);
    if (last !== null) {
      const dependsOn = await jobs.of(batch.tenantId).listDependencies(last.id);
      const eta = await this.#ofJob(last, await waitingReasons.of(last, sight, dependsOn), 0);
      if ("code" in eta) return eta.code === "ended" ? notMeasured : eta;
      ends.push(eta.endsIn);
    }
    return ends.length === 0 ? notMeasured : { startsIn: null, endsIn: latest(ends) };
  }

  async #ofJob(job: Job, waiting: Waiting | null, depth: number): Promise<Eta> {
    if (isTerminal(job.status)) return ended;
    if (job.status === "processing") return await this.#ofRunning(job);
    if (waiting === null) return notMeasured;
    if (waiting.room !== null) return await this.#ofWaiting(job, waiting.room);
    return waiting.reason.code === "dependency" ? await this.#ofDependent(job, waiting, depth) : heldUp;
  }

  async #ofRunning(job: Job): Promise<Eta> {
    const { phase, progress, progressAt, serverId } = job;
    if (phase === "executing" || phase === "saving" || serverId === null) {
      const toldAgoMs = progressAt === null ? null : Math.max(Date.now() - progressAt.getTime(), 0);
      const { remainingLowMs, remainingHighMs } = progress;
      const work = { jobId: job.id, batchId: job.batchId, serverId: serverId ?? "", runMs: null };
      const endsIn = busyWith({ ...work, phase, remainingLowMs, remainingHighMs, toldAgoMs });
      return endsIn === null ? notMeasured : { startsIn: null, endsIn };
    }
    // It waits in its server's own queue, behind what the server executes.
    const isNotBefore = (work: { jobId: string; phase: Job["phase"] }): boolean =>
      work.jobId === job.id || work.phase !== "executing";
    const [own, busy] = await Promise.all([
      this.#with.durations.estimate(job, serverId),
      this.#with.farmWork.busyFor([serverId], isNotBefore),
    ]);
    if (own === null) return notMeasured;
    const [startsIn] = busy ?? [];
    return startsIn === undefined ? beforeNotMeasured : { startsIn, endsIn: after(startsIn, own) };
  }

  async #ofWaiting(job: Job, room: WaitingRoom): Promise<Eta> {
    const { durations, farmWork, outlook, patienceMs } = this.#with;
    const { before, lane, serverIds, isLoaded } = room;
    const [only = null, ...others] = serverIds;
    const [own, busy, work, competingMs] = await Promise.all([
      durations.estimate(job, others.length === 0 ? only : null),
      farmWork.busyFor(serverIds),
      outlook.findBefore(job, { byRanks: before.isMore.all }),
      farmWork.competingMs(job.lane),
    ]);
    if (own === null) return notMeasured;
    const beforeMs = before.isMore.all ? work.rankedMs : countedMs(before, work);
    if (busy === null || beforeMs === null) return beforeNotMeasured;
    const workMs = beforeMs + work.alikeMs;
    const width = widthOf(own, before.own + before.others);
    const loadMs = isLoaded ? 0 : (lane?.loadMs ?? 0);
    // A lane whose model is loaded nowhere waits until the others are done, or until servers lose their patience.
    const othersMs = competingMs / serverIds.length;
    const turnMs = isLoaded ? 0 : Math.min(othersMs, patienceMs);
    const turnMaxMs = Math.min(othersMs, patienceMs + workMs / serverIds.length);
    const startOf = (free: keyof InMs, factor: number): number =>
      doneAfterMs(
        busy.map((server) => server[free]),
        workMs * factor,
      ) + loadMs;
    const startsIn = {
      lowMs: startOf("lowMs", 1 - width),
      ms: startOf("ms", 1) + turnMs,
      highMs: startOf("highMs", 1 + width) + turnMaxMs,
    };
    return { startsIn, endsIn: after(startsIn, own) };
  }

  /** It begins after the jobs that it depends on have completed, and takes its own time then. */
  async #ofDependent(job: Job, waiting: Waiting, depth: number): Promise<Eta> {
    const { jobs, durations, waitingReasons } = this.#with;
    const open = waiting.reason.dependencies ?? [];
    if (depth >= depthMax || open.length === 0 || open.length > dependenciesMax) return heldUp;
    const own = await durations.estimate(job, null);
    if (own === null) return notMeasured;
    const reader = jobs.of(job.tenantId);
    const needed = await reader.findJobs(open.map(({ jobId }) => jobId));
    const etas = await Promise.all(
      needed.map(async (one) => {
        const dependsOn = await reader.listDependencies(one.id);
        return await this.#ofJob(one, await waitingReasons.of(one, waiting.sight, dependsOn), depth + 1);
      }),
    );
    const ends: InMs[] = [];
    for (const eta of etas) {
      // One that has just completed keeps it no longer.
      if ("code" in eta && eta.code !== "ended") return eta;
      if (!("code" in eta)) ends.push(eta.endsIn);
    }
    if (ends.length === 0) return heldUp;
    const startsIn = latest(ends);
    return { startsIn, endsIn: after(startsIn, own) };
  }
}

/** `null` = jobs come before it of which no run was measured. */
function countedMs(
  { own, others }: WaitingRoom["before"],
  { ownRunMs, laneRunMs }: { ownRunMs: number | null; laneRunMs: number | null },
): number | null {
  if ((own > 0 && ownRunMs === null) || (others > 0 && laneRunMs === null)) return null;
  return own * (ownRunMs ?? 0) + others * (laneRunMs ?? 0);
}

/** By how much what comes before it may be off, as a share: the more jobs, the less their differences count. */
function widthOf(own: RunEstimate, jobs: number): number {
  const ofOne = Math.max(own.highMs / own.ms - 1, 0);
  return Math.min(Math.max(ofOne / Math.sqrt(Math.max(jobs, 1)), beforeFactorMin), 0.9);
}

function after(start: InMs, { lowMs, ms, highMs }: InMs): InMs {
  return { lowMs: start.lowMs + lowMs, ms: start.ms + ms, highMs: start.highMs + highMs };
}

function latest(ends: readonly InMs[]): InMs {
  return ends.reduce((one, other) => ({
    lowMs: Math.max(one.lowMs, other.lowMs),
    ms: Math.max(one.ms, other.ms),
    highMs: Math.max(one.highMs, other.highMs),
  }));
}
