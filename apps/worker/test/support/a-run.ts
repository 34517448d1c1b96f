import { type HeldTicket, type Job } from "@genga/jobs";
import { buildProgress, buildWorkflow } from "@genga/testing";
import { Run } from "../../src/job/run.ts";

const jobId = "0190a5c2-0000-7000-8000-000000000001";
/** The ticket of `aRun`. */
export const ticket: HeldTicket = { jobId, attempt: 2, ticketNumber: 3, lane: "default" };

const moment = new Date(0);
const job: Job = {
  ...{
    id: jobId,
    tenantId: "tenant",
    batchId: null,
    batchIndex: null,
    key: null,
    openDependencies: 0,
    rerunOf: null,
    traceparent: null,
    type: "image",
    project: null,
    scene: null,
    shot: null,
    tags: [],
    requires: [],
  },
  ...{ status: "processing", phase: "executing", priority: "normal", lane: "default", rank: 1 },
  ...{ attempt: 2, attemptsCharged: 0, attemptsMax: 1, outOfMemoryCount: 0, crashCount: 0, leaseNumber: 3 },
  ...{
    serverId: "server",
    promptId: "prompt",
    progress: buildProgress(10),
    progressAt: null,
    failure: null,
    warnings: [],
    timeoutMs: 1_000,
  },
  ...{
    eventSequence: 4,
    cancelRequestedAt: null,
    cancelTooLate: false,
    reusedFrom: null,
    runAt: null,
    enqueuedAt: null,
  },
  ...{ ticketNumber: 3, agedBands: 0, pausedAt: null },
  ...{ template: null, expiresAt: null, createdAt: moment, startedAt: moment, finishedAt: null },
};

/** A run of the second attempt of a job. Its lease has just begun if `isLeased`, and is over otherwise. */
export function aRun({
  wasAdopted,
  workflow = buildWorkflow(),
  isLeased = false,
  expiresInMs = null,
}: {
  wasAdopted: boolean;
  workflow?: string;
  isLeased?: boolean;
  expiresInMs?: number | null;
}): Run {
  const leased = {
    ...{ jobId, attempt: 2, leaseNumber: 3, promptId: "prompt", clientId: "client", serverId: "server" },
    ...{
      tenantSecret: new Uint8Array(32),
      extraDataText: null,
      hasExtraData: false,
      inputs: [],
      sealedExtraData: null,
      door: null,
      workflow,
      parameters: null,
      executionElapsedMs: null,
      expiresInMs,
    },
    job,
  };
  return new Run({
    leased,
    ticket: null,
    wasAdopted,
    leaseMs: isLeased ? 60_000 : 1_000,
    leasedSince: isLeased ? performance.now() : 0,
  });
}
