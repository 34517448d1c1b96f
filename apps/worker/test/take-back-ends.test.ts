import { expect, test } from "@jest/globals";
import { createLogger } from "@genga/runtime";
import { noTakeBacks, TakeBack } from "../src/job/take-back.ts";
import { aRun } from "./support/a-run.ts";

/** A take-back from a server that has removed the prompt. */
function takeBackOf(begin: () => Promise<string | null>, isEnding: () => boolean) {
  const run = aRun({ wasAdopted: false, isLeased: true });
  const counts = { ...noTakeBacks };
  const server = {
    url: "http://127.0.0.1:8188",
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
      withdrawPrompt: () => Promise.resolve({ state: "absent" as const }),
    },
  };
  const options = {
    takeBacks: { begin },
    takeBackCounts: counts,
    postTimeoutMs: 5_000,
    log: createLogger({ name: "test", level: "silent" }),
  };
  return { run, counts, takeBack: new TakeBack(run, server, options, isEnding) };
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
  expect(takeBack.serverFor({ state: "absent" })).toBeNull();
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
  expect(takeBack.serverFor({ state: "absent" })).toBe("empty");
  expect(counts).toEqual({ ...noTakeBacks, taken: 1 });
  await takeBack.close();
});
