import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { sleepJob, startTwoServers, type TwoServers } from "./support/two-servers.ts";

// A take-back is three calls: the delete, the queue, the history. Something in front of the server holds one of them while
// the prompt begins or ends, the server restarts, or the job is cancelled. Whatever happens, the prompt runs once, or never.

let farm: TwoServers;
/** Executes on the busy server. */
let long: string;
/** Waits behind it. */
let waiting: string;

beforeAll(async () => {
  farm = await startTwoServers();
}, 180_000);
afterAll(async () => {
  await farm.stop();
}, 180_000);

beforeEach(async () => {
  await farm.drainEmpty();
  // After a restart the server is on probation until a job has ended well.
  await farm.api.untilEnded(await farm.api.submit(sleepJob(0.1)));
  long = await farm.putOnBusy(sleepJob(90), "executing");
  waiting = await farm.putOnBusy(sleepJob(0.3));
  // Such jobs were measured by the tests before. Long ones are worth a take-back.
  await farm.database.query("UPDATE lanes SET run_ms = 60000, runs = 100");
}, 180_000);
afterEach(async () => {
  open();
  farm.busy.gate.hold = null;
  farm.busy.gate.holdReply = null;
  await farm.api.cancel(long);
  await farm.api.untilEnded(long);
}, 180_000);

type Call = "delete" | "queue" | "history";
let open = (): void => undefined;

/** The calls of the take-back alone: they come in this order, and nothing else deletes from the queue or asks for the prompt. */
async function callOf(): Promise<(method: string, path: string) => Call | null> {
  const [attempt] = await farm.attempts(waiting);
  let isDeleted = false;
  return (method, path) => {
    if (method === "POST" && path === "/queue") {
      isDeleted = true;
      return "delete";
    }
    if (!isDeleted || method !== "GET") return null;
    return path === "/queue" ? "queue" : path === `/history/${attempt?.promptId ?? ""}` ? "history" : null;
  };
}

type Answer = "break" | "pass";

/** Answers the first call of this kind in its own way, and each later one as `later` says. */
async function intercept(
  call: Call,
  at: "hold" | "holdReply",
  first: () => Promise<Answer>,
  later: Answer = "pass",
): Promise<void> {
  const named = await callOf();
  let count = 0;
  farm.busy.gate[at] = (method, path) => {
    if (named(method, path) !== call) return Promise.resolve("pass");
    count += 1;
    return count === 1 ? first() : Promise.resolve(later);
  };
}

/** Lets the take-back begin, and resolves when it makes this call, which is held until `open` is called. */
async function holdAt(call: Call): Promise<void> {
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    void intercept(call, "hold", async () => {
      resolve();
      await opened;
      return "pass";
    }).then(() => farm.resumeEmpty());
  });
  await reached;
}

/** Resolves when the worker says so about the waiting job. */
async function untilSaid(what: RegExp): Promise<void> {
  await farm.workers[0]!.line(new RegExp(`${waiting}.*${what.source}|${what.source}.*${waiting}`));
}

async function untilBusy(event: "started" | "finished"): Promise<void> {
  const prompts = new Set((await farm.attempts(waiting)).map(({ promptId }) => promptId));
  for (;;) {
    const { executions } = (await (await fetch(`${farm.busy.simulator.controlUrl}/executions`)).json()) as {
      executions: { promptId: string; event: string }[];
    };
    if (executions.some((each) => prompts.has(each.promptId) && each.event === event)) return;
    await sleep(20);
  }
}

/** Its own server begins the waiting prompt. */
async function begins(): Promise<void> {
  await farm.api.cancel(long);
  await untilBusy("started");
}

async function endsThere(): Promise<void> {
  await begins();
  await untilBusy("finished");
}

/** The long job goes elsewhere, where it must not be before the other one. */
async function restarts(): Promise<void> {
  await farm.busy.simulator.fault({ kind: "restart", downMs: 0 });
  await farm.api.cancel(long);
  await farm.api.untilEnded(long);
}
/** The worker connects again, and asks where its prompts are: the prompt is gone, and the long job executes on. */
async function losesSockets(): Promise<void> {
  await farm.busy.simulator.fault({ kind: "drop-sockets" });
  while ((await farm.attempts(waiting))[0]?.outcome === null) await sleep(20);
}
async function isCancelled(): Promise<void> {
  await farm.api.cancel(waiting);
}
const nothing = (): Promise<void> => Promise.resolve();

async function longEnds(): Promise<void> {
  await farm.api.cancel(long);
  await farm.api.untilEnded(long);
}

const takenBack = { status: "completed", attempt: 2, executions: 1, code: "taken-back" };
const stayed = { status: "completed", attempt: 1, executions: 1, code: null };
const lostWithServer = { status: "completed", attempt: 2, executions: 1, code: "prompt-lost" };
/** The request came before or after the end of the attempt. */
const cancelled = { status: "cancelled", attempt: 1, executions: 0 };

async function outcome(): Promise<object> {
  const { status, attempt } = await farm.api.untilEnded(waiting);
  const [first] = await farm.attempts(waiting);
  return { status, attempt, executions: await farm.executionsOf(waiting), code: first?.code };
}

describe("while a call is held", () => {
  test.each<[call: Call, what: string, happens: () => Promise<void>, end: object]>([
    ["delete", "nothing happens", nothing, takenBack],
    ["delete", "the prompt begins", begins, stayed],
    ["delete", "the prompt begins and ends", endsThere, stayed],
    ["delete", "the server restarts", restarts, lostWithServer],
    ["delete", "the job is cancelled", isCancelled, cancelled],
    ["queue", "nothing happens", nothing, takenBack],
    ["queue", "the long job ends", longEnds, takenBack],
    // A health check may have been held in place of the take-back's own question.
    ["queue", "the server restarts", restarts, { ...lostWithServer, code: expect.any(String) }],
    ["queue", "the job is cancelled", isCancelled, cancelled],
    ["history", "nothing happens", nothing, takenBack],
    ["history", "the long job ends", longEnds, takenBack],
    ["history", "the server loses its sockets", losesSockets, takenBack],
    ["history", "the server restarts", restarts, lostWithServer],
    ["history", "the job is cancelled", isCancelled, cancelled],
  ])(
    "%s: %s",
    async (call, _what, happens, end) => {
      await holdAt(call);
      await happens();
      open();
      expect(await outcome()).toMatchObject(end);
    },
    180_000,
  );
});

describe("a lost message", () => {
  const breaks = (): Promise<Answer> => Promise.resolve("break");

  test("a delete that never arrives leaves the prompt where it is, for the rest of the attempt", async () => {
    await intercept("delete", "hold", breaks);
    await farm.resumeEmpty();
    await untilSaid(/a prompt that was to be taken back stays/);
    expect((await farm.jobRow(waiting))["take_back_begun"]).toBe(true);
    await longEnds();
    expect(await outcome()).toEqual(stayed);
  }, 180_000);

  test.each<[call: Call]>([["delete"], ["queue"], ["history"]])(
    "the lost answer to %s does not matter",
    async (call) => {
      await intercept(call, "holdReply", breaks);
      await farm.resumeEmpty();
      expect(await outcome()).toEqual(takenBack);
    },
    180_000,
  );

  test("a delete that arrives late is found by the prompt's watch", async () => {
    await holdAt("delete");
    await untilSaid(/a prompt that was to be taken back stays/);
    open();
    expect(await outcome()).toEqual(takenBack);
  }, 180_000);

  test("while the history is not answered, nothing is concluded", async () => {
    await intercept("history", "holdReply", breaks, "break");
    await farm.resumeEmpty();
    await untilSaid(/whether a prompt was taken back is not known/);
    farm.busy.gate.holdReply = null;
    expect(await outcome()).toEqual(takenBack);
  }, 180_000);
});
