import { describe, expect, test } from "@jest/globals";
import { ComfyUIError } from "@genga/comfyui";
import { StorageError } from "@genga/jobs";
import { buildFailure, buildOutput } from "@genga/testing";
import { ExtraDataError } from "../src/job/extra-data.ts";
import {
  blamesJobForCrashes,
  type Circumstances,
  type EndedBy,
  type EndingJob,
  endOf,
  hasLetGo,
  mayForgetPrompt,
  namingCrashedServers,
  type PromptEnd,
  type RunOutcome,
  serverFaultIn,
  serverVerdict,
  stopOf,
  unrecordableEnd,
} from "../src/job/job-end.ts";
import { RunStopped } from "../src/job/run.ts";

const job: EndingJob = {
  ...{ attempt: 1, attemptsCharged: 0, attemptsMax: 1, outOfMemoryCount: 0, crashCount: 0, timeoutMs: 5_000 },
};
const history = { outputs: {}, status: undefined };
const executionError = new ComfyUIError("execution_failed", "The node raised.", { nodeId: "3" });
const memoryError = new ComfyUIError("out_of_memory", "The card is full.");
const deviceError = new ComfyUIError("device_failed", "The card has fallen off the bus.");
const refusal = new ComfyUIError("prompt_refused", "The graph is wrong.");

const finished: PromptEnd["lookup"] = { state: "finished", executedMs: 12, history };
const failed = (error: ComfyUIError): PromptEnd["lookup"] => ({
  ...{ state: "failed", error, report: undefined, history },
});
const interruptedAfter = (executedMs: number | undefined): PromptEnd["lookup"] => ({
  ...{ state: "interrupted", report: undefined, executedMs, history },
});
const interrupted = interruptedAfter(undefined);
const [absent, neverThere, stuck] = [
  { state: "absent", others: [] },
  { state: "never-there" },
  { state: "stuck" },
] as const satisfies PromptEnd["lookup"][];

const outputs = [buildOutput()];
const takenBack: RunOutcome = {
  kind: "prompt-ended",
  prompt: { lookup: absent, endedBy: "take-back", takenBackFor: "another-server", warnings: [] },
  outputs: [],
};
const promptEnded = (lookup: PromptEnd["lookup"], endedBy: EndedBy | null = null): RunOutcome => ({
  kind: "prompt-ended",
  prompt: { lookup, endedBy, warnings: ["a node was left out"] },
  outputs: lookup.state === "finished" ? outputs : [],
});
const broke = (error: unknown, mayRunElsewhere = false): RunOutcome => ({
  ...{ kind: "broke", error, mayRunElsewhere },
});
const serverLost = (wasOnServer = true): RunOutcome => ({ kind: "server-lost", wasOnServer });

interface Given {
  isExecuting?: boolean;
  mayHaveBegun?: boolean;
  hasExpired?: boolean;
  isAnswering?: boolean;
  isDraining?: boolean;
  job?: Partial<EndingJob>;
}

function circumstances(given: Given): Circumstances {
  const { isExecuting, mayHaveBegun, hasExpired, isAnswering, isDraining } = given;
  return {
    isExecuting: isExecuting ?? false,
    mayHaveBegun: mayHaveBegun ?? isExecuting ?? false,
    hasExpired: hasExpired ?? false,
    server: { isAnswering: isAnswering ?? true, isDraining: isDraining ?? false, reason: "It is silent." },
  };
}

const completed = { kind: "completed", outputs, warnings: ["a node was left out"] };
const failure = (code: string): object => ({ failure: expect.objectContaining({ code }) as unknown });
const ends = (code: string): object => ({ kind: "failed", ...failure(code) });
const timesOut = (code: string): object => ({ kind: "timeout", ...failure(code) });
const requeued = (code: string, counts?: "crash" | "outOfMemory"): object => ({
  ...{ kind: "requeue", charged: false, avoidServer: true, delayMs: 500 },
  ...(counts !== undefined && { counts }),
  ...failure(code),
});
const begun = { mayHaveBegun: true };
const executing = { isExecuting: true };
const thirdCrash = { job: { crashCount: 2 } };

describe("the end of a job", () => {
  test.each<[what: string, outcome: RunOutcome, given: Given, end: object]>([
    ["a finished prompt", promptEnded(finished), executing, completed],
    ["a prompt that finished before it could be cancelled", promptEnded(finished, "cancel"), {}, completed],
    ["a failed prompt", promptEnded(failed(executionError)), executing, ends("execution-failed")],
    [
      "a failed prompt of a job with attempts left",
      promptEnded(failed(executionError)),
      { job: { attemptsMax: 2 } },
      { kind: "requeue", charged: true, avoidServer: false, delayMs: 500, ...failure("execution-failed") },
    ],
    [
      "a prompt that failed while it was ended",
      promptEnded(failed(executionError), "deadline"),
      executing,
      ends("execution-failed"),
    ],
    [
      "a first lack of memory",
      promptEnded(failed(memoryError)),
      executing,
      requeued("out-of-memory", "outOfMemory"),
    ],
    [
      "a second lack of memory",
      promptEnded(failed(memoryError)),
      { job: { outOfMemoryCount: 1 } },
      ends("out-of-memory"),
    ],
    [
      "a prompt that met a broken GPU or disk",
      promptEnded(failed(deviceError)),
      executing,
      requeued("device-failed", "crash"),
    ],
    [
      "such a prompt whose message that it began was not heard",
      promptEnded(failed(deviceError)),
      {},
      requeued("device-failed", "crash"),
    ],
    ["the third such prompt", promptEnded(failed(deviceError)), thirdCrash, ends("poison")],
    [
      "such a prompt on a draining server",
      promptEnded(failed(deviceError)),
      { ...thirdCrash, isDraining: true },
      requeued("device-failed"),
    ],
    ["a cancelled prompt", promptEnded(interrupted, "cancel"), executing, { kind: "cancelled" }],
    ["a cancelled prompt that waited", promptEnded(absent, "cancel"), {}, { kind: "cancelled" }],
    [
      "a cancelled prompt that was not submitted",
      promptEnded(neverThere, "cancel"),
      {},
      { kind: "cancelled" },
    ],
    ["a cancelled prompt that does not end", promptEnded(stuck, "cancel"), executing, { kind: "cancelled" }],
    ["a deadline", promptEnded(interrupted, "deadline"), executing, timesOut("deadline-passed")],
    [
      "a prompt that was taken back, whatever its server did before",
      takenBack,
      { ...begun, ...thirdCrash, hasExpired: true },
      {
        ...{ kind: "requeue", charged: false, avoidServer: false, delayMs: 3_000 },
        ...{ takenBackFor: "another-server", ...failure("taken-back") },
      },
    ],
    ["a queue deadline", promptEnded(absent, "expiry"), {}, timesOut("expired")],
    ["a stall", promptEnded(interrupted, "stall"), executing, requeued("prompt-stalled", "crash")],
    ["a third stall", promptEnded(stuck, "stall"), { ...executing, ...thirdCrash }, ends("poison")],
    [
      "a stall on a draining server",
      promptEnded(interrupted, "stall"),
      { isDraining: true },
      requeued("prompt-stalled", "crash"),
    ],
    [
      "a prompt that somebody else interrupted",
      promptEnded(interrupted),
      executing,
      requeued("prompt-interrupted"),
    ],
    [
      "a prompt that was interrupted before its time was over, nobody knows by whom",
      promptEnded(interruptedAfter(4_900)),
      executing,
      requeued("prompt-interrupted"),
    ],
    [
      "a prompt that was interrupted when its time was over, by a server's slower clock",
      promptEnded(interruptedAfter(4_950)),
      {},
      timesOut("deadline-passed"),
    ],
    [
      "a cancelled prompt whose time was over",
      promptEnded(interruptedAfter(5_001), "cancel"),
      executing,
      { kind: "cancelled" },
    ],
    [
      "a prompt that is gone, of a job whose queue deadline has passed",
      promptEnded(absent),
      { hasExpired: true },
      timesOut("expired"),
    ],
    [
      "a prompt that had begun and is gone, of such a job",
      promptEnded(absent),
      { ...executing, hasExpired: true },
      requeued("prompt-lost", "crash"),
    ],
    ["a finished prompt of such a job", promptEnded(finished), { hasExpired: true }, completed],
    ["a prompt that never arrived", promptEnded(neverThere), {}, requeued("not-submitted")],
    ["a prompt that vanished while it waited", promptEnded(absent), {}, requeued("prompt-lost")],
    [
      "a prompt that vanished and may have begun",
      promptEnded(absent),
      begun,
      requeued("prompt-lost", "crash"),
    ],
    ["the third such prompt", promptEnded(absent), { ...begun, ...thirdCrash }, ends("poison")],
    [
      "a prompt that vanished from a draining server",
      promptEnded(absent),
      { ...begun, ...thirdCrash, isDraining: true },
      requeued("prompt-lost"),
    ],
    ["a server lost while it executed the prompt", serverLost(), executing, requeued("server-lost", "crash")],
    ["the third such server", serverLost(), { ...executing, ...thirdCrash }, ends("poison")],
    [
      "a draining server lost while it executed",
      serverLost(),
      { ...executing, isDraining: true },
      requeued("server-lost"),
    ],
    [
      "a silent server lost while it may have executed",
      serverLost(),
      { ...begun, isAnswering: false },
      requeued("server-lost", "crash"),
    ],
    [
      "a wedged server that still answers and has begun nothing",
      serverLost(),
      { ...begun, ...thirdCrash },
      requeued("server-lost"),
    ],
    [
      "a server lost while outputs were saved",
      serverLost(false),
      { ...executing, ...thirdCrash },
      requeued("server-lost"),
    ],
    ["a refusal", broke(refusal), {}, ends("prompt-refused")],
    ["a refusal by one server only", broke(refusal, true), {}, requeued("prompt-refused")],
    [
      "a server that cannot be reached",
      broke(new ComfyUIError("server_unreachable", "away")),
      { ...executing, ...thirdCrash },
      requeued("server-unreachable"),
    ],
    [
      "an unreadable result",
      broke(new ComfyUIError("result_unreadable", "odd")),
      executing,
      ends("result-unreadable"),
    ],
    [
      "a storage that fails",
      broke(new StorageError("storage-full", "full", { retryable: false })),
      {},
      ends("storage-full"),
    ],
    [
      "extra data that was lost",
      broke(new ExtraDataError("extra-data-missing", "gone")),
      {},
      ends("extra-data-missing"),
    ],
    [
      "extra data that another worker can decrypt",
      broke(new ExtraDataError("extra-data-unreadable", "no key")),
      {},
      requeued("extra-data-unreadable"),
    ],
    ["an error of the worker itself", broke(new TypeError("a bug")), {}, ends("worker-error")],
  ])("after %s", (_what, outcome, given, end) => {
    const decided = endOf({ ...job, ...given.job }, outcome, circumstances(given), 0);
    expect(decided).toEqual(expect.objectContaining(end));
    if (!("counts" in end)) expect(decided).not.toHaveProperty("counts");
  });

  test("says in words why a server was given up, and how long a job executed", () => {
    expect(endOf(job, serverLost(), circumstances({}), 0)).toMatchObject({
      failure: { message: "Its server was given up. It is silent." },
    });
    expect(endOf(job, promptEnded(interrupted, "deadline"), circumstances({}), 0)).toMatchObject({
      failure: { message: expect.stringContaining("5000 ms") as unknown },
    });
  });

  test("that the database refuses is a failure that says why, in few words", () => {
    const end = unrecordableEnd(new Error("x".repeat(5_000)));
    expect(end).toMatchObject({ kind: "failed", failure: { class: "execution", code: "result-refused" } });
    expect("failure" in end && end.failure.message.length).toBe(500);
  });

  test("of a job that crashed servers names each of them once, and none on which it failed otherwise", () => {
    const end = endOf({ ...job, ...thirdCrash.job }, serverLost(), circumstances(executing), 0);
    expect(blamesJobForCrashes(end)).toBe(true);
    const attempt = (code: string | null, serverUrl: string) => ({
      failure: code === null ? null : buildFailure({ code }),
      serverUrl,
    });
    const attempts = [
      attempt("prompt-lost", "http://one"),
      attempt("prompt-interrupted", "http://two"),
      attempt("prompt-stalled", "http://three"),
      attempt("device-failed", "http://five"),
      attempt("server-lost", "http://one"),
      attempt(null, "http://four"),
    ];
    expect(namingCrashedServers(end, attempts, "http://four")).toMatchObject({
      failure: {
        message: expect.stringMatching(
          / The servers: http:\/\/one, http:\/\/three, http:\/\/five, http:\/\/four\.$/,
        ) as unknown,
      },
    });
  });
});

describe("what an end says about the server", () => {
  const works = { verdict: "works" };
  const ranAJob = { verdict: "ran-a-job" };
  const lostAJob = { verdict: "lost-a-job", reason: expect.any(String) as unknown };
  test.each<
    [
      what: string,
      lookup: PromptEnd["lookup"],
      endedBy: EndedBy | null,
      mayHaveBegun: boolean,
      verdict: unknown,
    ]
  >([
    ["a finished prompt", finished, null, true, works],
    ["a prompt whose node raised", failed(executionError), null, true, ranAJob],
    ["a prompt that failed while it was cancelled", failed(executionError), "cancel", true, ranAJob],
    ["a prompt that met a broken GPU or disk", failed(deviceError), null, true, lostAJob],
    ["a stall", interrupted, "stall", true, lostAJob],
    ["a prompt that vanished and may have begun", absent, null, true, lostAJob],
    ["a prompt that vanished while it waited", absent, null, false, null],
    ["a prompt that was cancelled", absent, "cancel", true, null],
    ["a prompt that was taken back", absent, "take-back", true, null],
    ["a prompt that somebody else interrupted", interrupted, null, true, null],
    ["a prompt that does not end", stuck, "deadline", true, null],
  ])("%s", (_what, lookup, endedBy, mayHaveBegun, verdict) => {
    expect(serverVerdict({ lookup, endedBy, warnings: [] }, { mayHaveBegun })).toEqual(verdict);
  });

  test("an error is the server's fault unless it is the graph's, the storage's or the worker's", () => {
    expect(serverFaultIn(new ComfyUIError("server_failed", "500"))).toBe("500");
    expect(serverFaultIn(refusal)).toBeNull();
    expect(serverFaultIn(new ExtraDataError("extra-data-unreadable", "no key"))).toBeNull();
    expect(serverFaultIn(new StorageError("storage-full", "full", { retryable: false }))).toBeNull();
    expect(serverFaultIn(new TypeError("a bug"))).toBeNull();
  });
});

test.each<[what: string, lookup: PromptEnd["lookup"], endedBy: EndedBy | null, expected: boolean]>([
  ["finished", finished, null, true],
  ["was interrupted", interrupted, "cancel", true],
  ["was taken back", absent, "take-back", true],
  ["never arrived", neverThere, null, true],
  ["was taken out of the queue", absent, "cancel", true],
  ["vanished", absent, null, false],
  ["does not end", stuck, "cancel", false],
])("whether a server has let go of a prompt that %s", (_what, lookup, endedBy, expected) => {
  expect(hasLetGo({ lookup, endedBy, warnings: [] })).toBe(expected);
});

test.each<[what: string, outcome: RunOutcome, expected: boolean]>([
  ["a prompt that finished", promptEnded(finished), true],
  ["a prompt that vanished", promptEnded(absent), false],
  ["a prompt that was taken back", takenBack, true],
  ["a prompt that does not end", promptEnded(stuck, "cancel"), false],
  ["a run that broke", broke(refusal), true],
  ["a run whose server was given up", serverLost(), false],
])("whether the history may forget the prompt after %s", (_what, outcome, expected) => {
  expect(mayForgetPrompt(outcome)).toBe(expected);
});

test.each([
  ["its lease was lost, whatever it threw", new RunStopped("lease-lost"), new Error("x"), "lease-lost"],
  ["its worker stops", new RunStopped("hand-over"), new RunStopped("server-lost"), "hand-over"],
  ["it found its server silent", undefined, new RunStopped("server-lost"), "server-lost"],
  ["its connector was closed", undefined, new ComfyUIError("connector_closed", "closed"), "hand-over"],
  ["an error ended it", undefined, new Error("x"), null],
])("why a run stopped: %s", (_what, stopReason, error, stop) => {
  expect(stopOf(stopReason, error)).toBe(stop);
});
