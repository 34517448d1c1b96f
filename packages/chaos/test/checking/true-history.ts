import {
  type Answer,
  type History,
  type JobEventAnswer,
  type JobHistory,
  type JobWrite,
  type OutputObservation,
  type RowState,
} from "../../src/history/history.ts";

// Histories in which every promise is kept. Each test of a check changes one fact in such a history, because a check that
// never fails proves nothing.

export const server = "http://127.0.0.1:1";
export const otherServer = "http://127.0.0.1:2";
/** Of all jobs. It is paused for a while before the second attempt. */
export const lane = "no-model-0123456789ab";
const colour = 0x12_34_56;

/** A job that was rendered on a server that forgot it, and then on another one, and completed. */
export function goodHistory(): History {
  const id = "job-1";
  const types: [type: string, attempt: number][] = [
    ["accepted", 0],
    ["claimed", 1],
    ["submitted", 1],
    ["executing", 1],
    ["requeued", 1],
    ["claimed", 2],
    ["submitted", 2],
    ["adopted", 2],
    ["executing", 2],
    ["saving", 2],
    ["completed", 2],
  ];
  const events = types.map(([type, attempt], index) => event(index + 1, type, attempt));
  const done = answer({ status: "completed", phase: null, attempt: 2, sequence: 11, percent: 100 });
  const job: JobHistory = {
    id,
    name: "r0j0",
    dependsOn: [],
    requires: ["pool:day"],
    spec: { kind: "sleep", ms: 500, steps: 5, color: colour },
    answers: [
      answer({ status: "queued", phase: "waiting", attempt: 0, sequence: 1, percent: 0 }),
      answer({ status: "processing", phase: "executing", attempt: 1, sequence: 4, percent: 60 }),
      { at: 0, httpStatus: 503, text: "the database is away" },
      { at: 0, httpStatus: null },
      answer({ status: "queued", phase: "waiting", attempt: 1, sequence: 5, percent: 0 }),
      answer({ status: "processing", phase: "executing", attempt: 2, sequence: 9, percent: 20 }),
      answer({ status: "processing", phase: "executing", attempt: 2, sequence: 9, percent: 40 }),
      done,
    ],
    streams: [
      [
        { at: 0, event: "snapshot", sequence: 4, attempt: 1, percent: 30 },
        { at: 0, event: "progress", sequence: null, attempt: 1, percent: 60 },
        { at: 0, event: "event", sequence: 5, attempt: null, percent: null },
        { at: 0, event: "progress", sequence: null, attempt: 2, percent: 10 },
      ],
      [
        { at: 0, event: "snapshot", sequence: null, attempt: 2, percent: 10 },
        { at: 0, event: "event", sequence: 6, attempt: null, percent: null },
        { at: 0, event: "event", sequence: 7, attempt: null, percent: null },
        { at: 0, event: "progress", sequence: null, attempt: 2, percent: 20 },
      ],
    ],
    requests: [],
    finalAnswers: [done, done],
    events,
    outputs: [picture(id)],
  };
  const queued = row({ status: "queued", phase: "waiting" });
  const first = row({
    status: "processing",
    phase: "executing",
    attempt: 1,
    leaseNumber: 1,
    leaseOwner: "worker-1",
  });
  const second = row({
    status: "processing",
    attempt: 2,
    leaseNumber: 2,
    leaseOwner: "worker-1",
    sequence: 6,
  });
  const adopted = row({ ...second, leaseNumber: 3, leaseOwner: "worker-2", sequence: 8 });
  return {
    jobs: [job],
    submissions: [{ name: "r0j0", answers: [["job-1"], ["job-1"]] }],
    servers: [
      { url: server, checkpoints: ["a.safetensors", "b.safetensors"], labels: ["pool:day"] },
      { url: otherServer, checkpoints: ["b.safetensors"], labels: ["pool:day", "gpu:24gb"] },
    ],
    laneRequests: [{ lane, endedAt: 4_200, httpStatus: 202 }],
    laneChanges: [
      { lane, at: 4_100, isPaused: true },
      { lane, at: 4_900, isPaused: false },
    ],
    batches: [
      {
        id: "batch-1",
        total: 2,
        counts: { completed: 1, failed: 1, queued: 0 },
        ends: { completed: 1, failed: 1 },
      },
    ],
    executions: [
      { serverUrl: server, promptId: "prompt-1", event: "started", at: 2_000 },
      { serverUrl: otherServer, promptId: "prompt-2", event: "started", at: 7_000 },
      { serverUrl: otherServer, promptId: "prompt-2", event: "finished", at: 8_000 },
    ],
    attempts: [
      {
        ...{ jobId: id, number: 1, promptId: "prompt-1", serverUrl: server },
        ...{ claimedAt: 1_000, submittedAt: 1_500, finishedAt: 4_000 },
        ...{ outcome: "requeued", failureClass: "server", failureCode: "prompt-lost" },
      },
      {
        ...{ jobId: id, number: 2, promptId: "prompt-2", serverUrl: otherServer },
        ...{ claimedAt: 5_000, submittedAt: 6_000, finishedAt: 9_000 },
        ...{ outcome: "completed", failureClass: null, failureCode: null },
      },
    ],
    writes: [
      write(500, "api-1", null, queued),
      write(1_000, "worker-1", queued, row({ ...first, phase: "waiting", sequence: 2 })),
      write(
        2_000,
        "worker-1",
        row({ ...first, phase: "waiting" }),
        row({ ...first, percent: 60, sequence: 4 }),
      ),
      write(4_000, "worker-1", first, row({ ...queued, attempt: 1, leaseNumber: 1, sequence: 5 })),
      write(5_000, "worker-1", row({ ...queued, attempt: 1, leaseNumber: 1, sequence: 5 }), second),
      { ...write(6_000, "worker-2", second, adopted), wasLeaseExpired: true },
      write(7_000, "worker-2", adopted, row({ ...adopted, phase: "executing", percent: 20, sequence: 9 })),
      write(
        9_000,
        "worker-2",
        adopted,
        row({ ...adopted, status: "completed", leaseOwner: null, sequence: 11 }),
      ),
    ],
    troubles: [{ kind: "memory-lost", serverUrl: server, from: 3_000, to: 3_000 }],
    orphans: [
      { name: `jobs/${id}/1-1/0-a.png`, jobId: id, attempt: 1, leaseNumber: 1 },
      { name: `jobs/${id}/2-2/0-a.png`, jobId: id, attempt: 2, leaseNumber: 2 },
    ],
    living: ["api-1", "worker-2"],
    deaths: [],
    excusedFailures: [],
    observedUntil: 20_000,
  };
}

/** A job that was cancelled while it was running. */
export function cancelledHistory(): History {
  const history = goodHistory();
  const job = history.jobs[0]!;
  job.events = [
    ...[event(1, "accepted", 0), event(2, "claimed", 1), event(3, "submitted", 1), event(4, "executing", 1)],
    ...[event(5, "cancel_requested", 1), event(6, "cancelled", 1)],
  ];
  job.requests = [{ kind: "cancel", at: 2_500, endedAt: 2_520, httpStatus: 202 }];
  const ended = answer({ status: "cancelled", phase: null, attempt: 1, sequence: 6, percent: 60 });
  job.finalAnswers = [ended, ended];
  job.answers = [ended];
  job.streams = [];
  job.outputs = [];
  history.attempts = [
    { ...history.attempts[0]!, outcome: "cancelled", failureClass: null, failureCode: null },
  ];
  const running = row({
    status: "processing",
    phase: "executing",
    attempt: 1,
    leaseNumber: 1,
    leaseOwner: "worker-1",
  });
  const asked = row({ ...running, cancelRequestedAt: 2_500, sequence: 5 });
  history.writes = [
    write(2_500, "api-1", row({ ...running, sequence: 4 }), asked),
    write(
      3_000,
      "worker-1",
      asked,
      row({ ...asked, status: "cancelled", phase: null, leaseOwner: null, sequence: 6 }),
    ),
  ];
  history.executions = [
    { serverUrl: server, promptId: "prompt-1", event: "started", at: 2_000 },
    { serverUrl: server, promptId: "prompt-1", event: "finished", at: 2_900 },
  ];
  history.troubles = [];
  return history;
}

export function event(sequence: number, type: string, attempt: number): JobEventAnswer {
  return { jobId: "job-1", sequence, type, attempt, data: {}, createdAt: sequence };
}

export function answer(job: {
  status: NonNullable<Answer["job"]>["status"];
  phase: string | null;
  attempt: number;
  sequence: number;
  percent: number;
  failure?: NonNullable<Answer["job"]>["failure"];
}): Answer & { job: NonNullable<Answer["job"]> } {
  const { percent, failure = null, ...rest } = job;
  return {
    at: 0,
    httpStatus: 200,
    job: { ...rest, id: "job-1", cancelTooLate: false, batchId: null, progress: { percent }, failure },
  };
}

export function picture(jobId: string): OutputObservation {
  const content = { bytes: 10, sha256: "aa", width: 64, height: 64, color: colour };
  return {
    ...{ attempt: 2, index: 0, kind: "file", mediaType: "image/png", bytes: 10, sha256: "aa" },
    ...{ width: 64, height: 64, durationMs: null, text: null },
    content: { ...content, seeds: [colour], prefixes: [`genga/${jobId}-2`] },
  };
}

export function row(changes: Partial<RowState>): RowState {
  return {
    ...{
      status: "queued",
      phase: null,
      attempt: 0,
      leaseNumber: 0,
      leaseOwner: null,
      percent: 0,
      sequence: 1,
    },
    ...{ leaseExpiresAt: null, cancelRequestedAt: null },
    ...changes,
  };
}

export function write(at: number, process: string, before: RowState | null, after: RowState): JobWrite {
  return { jobId: "job-1", lane, at, process, before, after, wasLeaseExpired: false };
}
