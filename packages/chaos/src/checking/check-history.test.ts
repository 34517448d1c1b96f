import { describe, expect, test } from "@jest/globals";
import { checkHistory } from "./check-history.ts";
import { repeatedRenders, rendersPerJob } from "./check-executions.ts";
import {
  type Answer,
  type History,
  type JobEventAnswer,
  type JobHistory,
  type JobWrite,
  type OutputObservation,
  type RowState,
} from "../history/history.ts";

// A checker that cannot fail proves nothing: each test forges one lie into a history that is true otherwise.

const server = "http://127.0.0.1:1";
const otherServer = "http://127.0.0.1:2";
const colour = 0x12_34_56;

/** A job that was rendered on a server that forgot it, and then on another one, and completed. */
function goodHistory(): History {
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
function cancelledHistory(): History {
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

function event(sequence: number, type: string, attempt: number): JobEventAnswer {
  return { jobId: "job-1", sequence, type, attempt, data: {}, createdAt: sequence };
}

function answer(job: {
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

function picture(jobId: string): OutputObservation {
  const content = { bytes: 10, sha256: "aa", width: 64, height: 64, color: colour };
  return {
    ...{ attempt: 2, index: 0, kind: "file", mediaType: "image/png", bytes: 10, sha256: "aa" },
    ...{ width: 64, height: 64, durationMs: null, text: null },
    content: { ...content, seeds: [colour], prefixes: [`genga/${jobId}-2`] },
  };
}

function row(changes: Partial<RowState>): RowState {
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

function write(at: number, process: string, before: RowState | null, after: RowState): JobWrite {
  return { jobId: "job-1", at, process, before, after, wasLeaseExpired: false };
}

const rulesOf = (history: History): string[] => [
  ...new Set(checkHistory(history).map(({ rule, message }) => `${rule}: ${message}`)),
];

describe("a history that keeps every promise", () => {
  test("passes, with a repeated render that its server explains", () => {
    expect(checkHistory(goodHistory())).toEqual([]);
    expect(repeatedRenders(goodHistory())).toEqual([{ jobId: "job-1", cause: "prompt-lost", at: 4_000 }]);
    expect(rendersPerJob(goodHistory())).toEqual(new Map([[2, 1]]));
  });

  test("passes when a cancelled job was asked for again, and rendered at once", () => {
    const history = goodHistory();
    const [, , , lost, claimed] = history.writes;
    lost!.after = row({ ...lost!.after, status: "cancelled" });
    claimed!.before = row({ ...claimed!.before, sequence: 6 });
    history.executions[1]!.at = 5_100;
    history.writes.splice(4, 0, write(4_950, "api-1", lost!.after, claimed!.before));
    expect(rulesOf(history).filter((rule) => rule.startsWith("executions"))).toEqual([]);
  });

  test("passes when a job was cancelled and its server let go first", () => {
    expect(checkHistory(cancelledHistory())).toEqual([]);
  });
});

describe("a forged history is found out:", () => {
  const forgeries: [what: string, found: RegExp, forge: (history: History, job: JobHistory) => void][] = [
    [
      "a job that was not found",
      /answers: it was answered 404/,
      (_, job) => job.answers.push({ at: 0, httpStatus: 404, text: "no such job" }),
    ],
    [
      "a server error",
      /answers: it was answered 500/,
      (_, job) => job.answers.push({ at: 0, httpStatus: 500, text: "" }),
    ],
    [
      "a job that is lost in the end",
      /terminal: after all was healed it was answered 404/,
      (_, job) => (job.finalAnswers[1] = { at: 0, httpStatus: 404, text: "" }),
    ],
    [
      "a job that nobody asked for in the end",
      /terminal: no API was asked/,
      (_, job) => (job.finalAnswers = []),
    ],
    [
      "a job that never ended",
      /terminal: it never ended/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "processing" }),
    ],
    [
      "an end that is not in the events",
      /terminal: it is failed \(11\), but its last event is completed/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "failed" }),
    ],
    [
      "an event that a reader who came back never saw",
      /stream: event 7 was streamed after 5/,
      (_, job) => job.streams[1]!.splice(1, 1),
    ],
    [
      "an event that a reader who came back saw again",
      /stream: event 5 was streamed after 5/,
      (_, job) => (job.streams[1]![1]!.sequence = 5),
    ],
    [
      "progress that a reader who came back saw fall",
      /stream: progress: progress fell from 10 to 5 in attempt 2/,
      (_, job) => {
        job.streams[1]!.splice(0, 1);
        job.streams[1]![2]!.percent = 5;
      },
    ],
    [
      "an accepted cancel that nobody noted",
      /requests: a cancel-batch that was accepted .* left no trace/,
      (_, job) => {
        for (const each of job.events) each.createdAt += 10_000;
        job.requests = [{ kind: "cancel-batch", at: 2_000, endedAt: 2_100, httpStatus: 202 }];
      },
    ],
    [
      "a job that began again after its cancel request",
      /requests: requeued \(6\) came after its cancel request/,
      (_, job) => {
        job.events.splice(4, 0, event(5, "cancel_requested", 1));
        for (const [index, each] of job.events.entries()) each.sequence = index + 1;
      },
    ],
    [
      "a job that completed in spite of its cancel request, and does not say so",
      /requests: it completed after its cancel request/,
      (_, job) => (job.events[9] = event(10, "cancel_requested", 2)),
    ],
    [
      "an accepted retry of a batch that left a failed job as it was",
      /requests: a retry-batch that was accepted .* did not queue it again/,
      (_, job) => {
        job.events = [event(1, "accepted", 0), event(2, "claimed", 1), event(3, "failed", 1)];
        job.requests = [{ kind: "retry-batch", at: 2_000, endedAt: 2_100, httpStatus: 202 }];
      },
    ],
    [
      "a file that its writer left behind",
      /files: jobs\/job-1\/2-3\/0-b.png was stored, no output names it/,
      (history) => {
        const name = "jobs/job-1/2-3/0-b.png";
        history.orphans.push({ name, jobId: "job-1", attempt: 2, leaseNumber: 3 });
      },
    ],
    ["a gap in the events", /history: event 4 has the sequence 5/, (_, job) => job.events.splice(3, 1)],
    [
      "a second end",
      /history: completed \(12\) cannot follow while the job is ended/,
      (_, job) => job.events.push(event(12, "completed", 2)),
    ],
    [
      "events after the end",
      /history: executing \(12\) cannot follow while the job is ended/,
      (_, job) => job.events.push(event(12, "executing", 2)),
    ],
    [
      "an attempt that goes back",
      /history: executing \(9\) is of attempt 1, after attempt 2/,
      (_, job) => (job.events[8] = event(9, "executing", 1)),
    ],
    [
      "a phase that goes back",
      /history: submitted \(10\) follows executing/,
      (_, job) => (job.events[9] = event(10, "submitted", 2)),
    ],
    [
      "a late word of a requeued attempt",
      /history: executing \(6\) cannot follow while the job is queued/,
      (_, job) => (job.events[5] = event(6, "executing", 1)),
    ],
    [
      "a history without an end",
      /history: its last event leaves it processing/,
      (_, job) => job.events.pop(),
    ],
    [
      "progress that falls",
      /answers: its progress fell from 40 to 10/,
      (_, job) => {
        const fallen = {
          status: "processing",
          phase: "executing",
          attempt: 2,
          sequence: 9,
          percent: 10,
        } as const;
        job.answers.splice(7, 0, answer(fallen));
      },
    ],
    [
      "a sequence that falls",
      /answers: its sequence fell from 11 to 3/,
      (_, job) =>
        job.answers.push(answer({ status: "completed", phase: null, attempt: 2, sequence: 3, percent: 100 })),
    ],
    [
      "an attempt that falls",
      /answers: its attempt fell from 2 to 1/,
      (_, job) =>
        job.answers.push(
          answer({ status: "completed", phase: null, attempt: 1, sequence: 11, percent: 100 }),
        ),
    ],
    [
      "a streamed event that is missing",
      /stream: event 6 was streamed after 4/,
      (_, job) => (job.streams[0]![2]!.sequence = 6),
    ],
    [
      "streamed progress that falls",
      /stream: progress: progress fell from 60 to 20 in attempt 1/,
      (_, job) => job.streams[0]!.push({ at: 0, event: "progress", sequence: null, attempt: 1, percent: 20 }),
    ],
    [
      "a completed job without outputs",
      /outputs: it completed without an output/,
      (_, job) => (job.outputs = []),
    ],
    ["a second output set", /outputs: it has 2 outputs/, (_, job) => job.outputs.push(picture(job.id))],
    [
      "outputs of another attempt",
      /outputs: an output is of attempt 1/,
      (_, job) => (job.outputs[0]!.attempt = 1),
    ],
    [
      "a broken picture",
      /outputs: an output cannot be read: Error: truncated/,
      (_, job) => (job.outputs[0]!.content = "Error: truncated"),
    ],
    [
      "other bytes than recorded",
      /outputs: an output has 10 bytes/,
      (_, job) => (job.outputs[0]!.sha256 = "bb"),
    ],
    [
      "another job's picture",
      /outputs: a picture was made for/,
      (_, job) => {
        forgeContent(job, { prefixes: ["genga/job-2-1"] });
      },
    ],
    [
      "a picture of the wrong colour",
      /outputs: a picture has the colour/,
      (_, job) => {
        forgeContent(job, { color: 1 });
      },
    ],
    [
      "a picture of the wrong size",
      /outputs: a picture is 32×64, expected was 64×64/,
      (_, job) => {
        forgeContent(job, { width: 32 });
      },
    ],
    [
      "a picture from another seed",
      /outputs: a picture has the seeds 8, expected was 7/,
      (_, job) => {
        job.spec = { kind: "image", width: 64, height: 64, steps: 2, seed: 7 };
        forgeContent(job, { seeds: [8] });
      },
    ],
    [
      "a job that failed for no reason",
      /end: it failed without a valid reason: worker-error/,
      (_, job) => {
        const failure = { class: "server", code: "worker-error", message: "oops" };
        const seen = { status: "failed", phase: null, attempt: 2, sequence: 11, percent: 50 } as const;
        job.finalAnswers = [answer({ ...seen, failure })];
      },
    ],
    [
      "a job that was cancelled by nobody",
      /end: it is cancelled, although no client requested/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "cancelled" }),
    ],
    [
      "outputs of a job that did not complete",
      /outputs: it is failed and has 1 outputs/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "failed" }),
    ],
    [
      "a write of a worker that lost its lease",
      /stale-write: another process wrote under the lease of worker-2/,
      (history) => (history.writes[6]!.process = "worker-1"),
    ],
    [
      "an end written by a worker that lost its lease",
      /stale-write: another process wrote under the lease of worker-2/,
      (history) => (history.writes[7]!.process = "worker-1"),
    ],
    [
      "a lease that was taken too early",
      /stale-write: the lease was taken before it had run out/,
      (history) => (history.writes[5]!.wasLeaseExpired = false),
    ],
    [
      "a lease number that goes back",
      /stale-write: the lease number went back/,
      (history) => (history.writes[6]!.after.leaseNumber = 1),
    ],
    [
      "a take-over without a new lease number",
      /stale-write: another process wrote under the lease of worker-1/,
      (history) => (history.writes[5]!.after.leaseNumber = 2),
    ],
    [
      "progress that goes back in the row",
      /stale-write: progress went back/,
      (history) => (history.writes[6]!.before = row({ ...history.writes[6]!.before, percent: 90 })),
    ],
    [
      "a write to a job that has ended",
      /stale-write: an ended job was changed/,
      (history) => {
        const ended = history.writes[7]!.after;
        history.writes.push(
          write(9_500, "worker-1", ended, row({ ...ended, status: "failed", sequence: 12 })),
        );
      },
    ],
    [
      "a prompt that ran twice",
      /executions: prompt prompt-2 was executed 2 times/,
      (history) =>
        history.executions.push({ serverUrl: server, promptId: "prompt-2", event: "started", at: 7_500 }),
    ],
    [
      "a prompt that nobody owns",
      /executions: prompt prompt-9 was executed, and no attempt owns it/,
      (history) =>
        history.executions.push({ serverUrl: server, promptId: "prompt-9", event: "started", at: 7_500 }),
    ],
    [
      "a render that was given up for nothing",
      /executions: it was rendered and then given up \(prompt-lost\)/,
      (history) => (history.troubles = []),
    ],
    [
      "a render that was given up because of another server's trouble",
      /executions: it was rendered and then given up \(prompt-lost\)/,
      (history) => (history.troubles[0]!.serverUrl = otherServer),
    ],
    [
      "an execution of an attempt that is over",
      /executions: its execution began after the attempt was over/,
      (history) => {
        history.executions[0]!.at = 4_900;
        history.troubles = [{ kind: "memory-lost", serverUrl: server, from: 99_000, to: 99_000 }];
      },
    ],
    [
      "a batch that counts a job twice",
      /batch: batch batch-1 counts 2 completed jobs, and 1 were found/,
      (history) => (history.batches[0]!.counts["completed"] = 2),
    ],
    [
      "a batch that lost a job",
      /batch: batch batch-1 has 3 jobs, and 2 were found/,
      (history) => (history.batches[0]!.total = 3),
    ],
    [
      "a process that died",
      /process: worker-1 ended by itself/,
      (history) => history.deaths.push("worker-1 ended by itself"),
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    const history = goodHistory();
    forge(history, history.jobs[0]!);
    expect(rulesOf(history)).toContainEqual(expect.stringMatching(found));
  });

  test("a job that goes on executing after it was said to be cancelled", () => {
    const history = cancelledHistory();
    history.executions[1]!.at = 5_000;
    expect(rulesOf(history)).toEqual([expect.stringMatching(/executions: it was still executing when/)]);
    history.executions.pop(); // it never ended
    expect(rulesOf(history)).toEqual([expect.stringMatching(/executions: it was still executing when/)]);
  });

  test("a cancel request that changes more than it may", () => {
    const history = cancelledHistory();
    history.writes[0]!.after.percent = 90;
    expect(rulesOf(history)).toContainEqual(
      expect.stringMatching(/stale-write: another process wrote under the lease of worker-1/),
    );
  });
});

function forgeContent(
  job: JobHistory,
  changes: Partial<Exclude<OutputObservation["content"], string>>,
): void {
  const output = job.outputs[0]!;
  if (typeof output.content === "string") throw new Error("There is no content to forge.");
  output.content = { ...output.content, ...changes };
}
