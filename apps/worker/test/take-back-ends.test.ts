import { expect, test } from "@jest/globals";
import { createLogger } from "@genga/runtime";
import { noTakeBacks, TakeBack } from "../src/job/take-back.ts";
import { aRun } from "./support/a-run.ts";

const absent = { state: "absent" as const, others: [] };

/** A take-back from a server that has removed the prompt. */
function takeBackOf(begin: () => Promise<string | null>, isEnding: () => boolean, isDraining = false) {
  const run = aRun({ wasAdopted: false, isLeased: true });
  const counts = { ...noTakeBacks };
  const server = {
    ...{ url: "http://127.0.0.1:8188", isDraining },
    noteDoubt: () => undefined,
    connector: {
      counters: {
        messages: 0,
        unknownMessages: 0,
        replacedMessages: 0,
        disconnects: 0,
        lookups: 0,
        reopened: 0,
      },
      isHearing: () => true,
      withdrawPrompt: () => Promise.resolve(absent),
    },
  };
  const options = {
    takeBacks: { begin, beginGivingBack: () => Promise.resolve(true) },
    takeBackCounts: counts,
    postTimeoutMs: 5_000,
    log: createLogger({ name: "test", level: "silent" }),
  };
  return { run, counts, server, takeBack: new TakeBack(run, server, options, isEnding) };
}

test("a request that cannot be read leaves the run as it is", async () => {
  const fault = () => Promise.reject(new Error("a fault of this program"));
  const { run, counts, takeBack } = takeBackOf(fault, () => false);
  run.onTakeBackAsked?.();
  await takeBack.close();
  expect(counts).toEqual({ ...noTakeBacks, refused: 1 });
});

test("a prompt that a cancellation ended meanwhile does not count as taken back", async () => {
  let isCancelled = false;
  const { run, counts, takeBack } = takeBackOf(
    () => Promise.resolve("empty"),
    () => isCancelled,
  );
  run.onTakeBackAsked?.();
  await new Promise(setImmediate);
  isCancelled = true;
  expect(takeBack.explains(absent)).toBeNull();
  expect(counts).toEqual(noTakeBacks);
  await takeBack.close();
});

test("a prompt that nothing else ended counts as taken back", async () => {
  const { run, counts, takeBack } = takeBackOf(
    () => Promise.resolve("empty"),
    () => false,
  );
  run.onTakeBackAsked?.();
  await new Promise(setImmediate);
  expect(takeBack.explains(absent)).toEqual({ takenBackFor: "empty" });
  expect(counts).toEqual({ ...noTakeBacks, taken: 1 });
  await takeBack.close();
});

test("a prompt that comes to a server which gets no new work is given back for any server", async () => {
  const { counts, takeBack } = takeBackOf(
    () => Promise.resolve(null),
    () => false,
    true,
  );
  await new Promise(setImmediate);
  expect(takeBack.explains(absent)).toEqual({});
  expect(counts).toEqual({ ...noTakeBacks, given: 1 });
  await takeBack.close();
});

test("a prompt that waits is given back also if its server was held while another server's request came to nothing", async () => {
  let answer: (serverId: null) => void = () => undefined;
  const asked = new Promise<null>((resolve) => (answer = resolve));
  const { run, counts, server, takeBack } = takeBackOf(
    () => asked,
    () => false,
    false,
  );
  run.onTakeBackAsked?.();
  server.isDraining = true;
  run.onServerHeld?.();
  answer(null);
  await new Promise(setImmediate);
  expect(takeBack.explains(absent)).toEqual({});
  expect(counts).toEqual({ ...noTakeBacks, refused: 1, given: 1 });
  await takeBack.close();
});

test.each<[what: string, others: string[], end: object | null]>([
  [
    "was given back if the prompt before it is still there, so that the server has not restarted",
    ["ahead"],
    {},
  ],
  ["may be lost if one is there that was still on its way when this one was sent", ["on its way"], null],
  ["may be lost if only another client's prompt is there", ["another"], null],
  ["may be lost if nothing is there", [], null],
])("after a lost connection, a prompt that its server does not know %s", async (_what, others, end) => {
  const { run, counts, server, takeBack } = takeBackOf(
    () => Promise.resolve(null),
    () => false,
    true,
  );
  const onItsWay = { promptId: "on its way", wasSent: false };
  run.notePost([{ promptId: "ahead", wasSent: true }, onItsWay], true);
  // It may have come after a restart.
  onItsWay.wasSent = true;
  await new Promise(setImmediate);
  server.connector.counters.disconnects += 1;
  expect(takeBack.explains({ state: "absent", others })).toEqual(end);
  expect(counts.given).toBe(end === null ? 0 : 1);
  await takeBack.close();
});
