import { describe, expect, test } from "@jest/globals";

import {
  errorOfSettled,
  historyEntrySchema,
  lookupInHistory,
  lookupInQueue,
  orderQueue,
  queueSchema,
} from "./prompt-lookup.ts";

describe("the queue", () => {
  const queue = orderQueue(
    queueSchema.parse({
      queue_running: [[3, "running", {}, {}, []]],
      // A heap: only the first is in its place. Equal numbers run by their ids as text.
      queue_pending: [
        [4, "b", {}, {}, []],
        [9, "z", {}, {}, []],
        [4, "c", {}, {}, []],
        [-25, "front", {}, {}, [], "newer"],
        [4, "a", {}, {}, []],
      ],
    }),
  );

  test("is put into the order in which it will run", () => {
    expect(queue.pending.map(({ promptId }) => promptId)).toEqual(["front", "a", "b", "c", "z"]);
  });

  test("gives each prompt its place, the running one counted", () => {
    expect(lookupInQueue("front", queue)).toEqual({ state: "waiting", position: 1 });
    expect(lookupInQueue("z", queue)).toEqual({ state: "waiting", position: 5 });
    expect(lookupInQueue("running", queue)).toEqual({ state: "running" });
    expect(lookupInQueue("nobody", queue)).toBeUndefined();
  });
});

describe("the history", () => {
  const entry = (statusText: string, messages: unknown[]) =>
    lookupInHistory(
      historyEntrySchema.parse({
        outputs: {},
        status: { status_str: statusText, completed: statusText === "success", messages },
      }),
    );

  test.each([
    ["success", [["execution_success", { prompt_id: "p" }]], "finished", undefined],
    [
      "error",
      [["execution_interrupted", { prompt_id: "p", node_id: "2", node_type: "W" }]],
      "interrupted",
      "prompt_interrupted",
    ],
    [
      "error",
      [
        [
          "execution_error",
          {
            prompt_id: "p",
            node_id: "2",
            node_type: "W",
            exception_type: "ValueError",
            exception_message: "x",
          },
        ],
      ],
      "failed",
      "execution_failed",
    ],
    ["error", [["execution_error", { an: "other layout" }]], "failed", "execution_failed"],
    ["error", [], "failed", "execution_failed"],
  ])("%s with %j is %s", (statusText, messages, state, code) => {
    const lookup = entry(statusText, messages);
    expect(lookup.state).toBe(state);
    expect(errorOfSettled(lookup)?.code).toBe(code);
  });

  const start = (timestamp?: number): unknown[] => ["execution_start", { prompt_id: "p", timestamp }];
  const interruption = (timestamp?: number): unknown[] => [
    "execution_interrupted",
    { prompt_id: "p", node_id: "2", node_type: "W", timestamp },
  ];

  test.each<[string, unknown[], number | undefined]>([
    ["both times", [start(1_000), ["execution_cached", {}], interruption(2_443)], 1_443],
    ["no start", [interruption(2_443)], undefined],
    ["no time of the start", [start(), interruption(2_443)], undefined],
    ["no time of the end", [start(1_000), interruption()], undefined],
  ])("with %s says how long a prompt had executed when it was interrupted", (_, messages, executedMs) => {
    expect(entry("error", messages)).toMatchObject({ state: "interrupted", executedMs });
  });

  const success = (timestamp?: number): unknown[] => ["execution_success", { prompt_id: "p", timestamp }];

  test.each<[string, unknown[], number | undefined]>([
    ["both times", [start(1_000), ["execution_cached", {}], success(1_003)], 3],
    ["no time of the end", [start(1_000), success()], undefined],
    ["no message of its end", [start(1_000)], undefined],
  ])("with %s says how long a prompt executed that finished", (_, messages, executedMs) => {
    expect(entry("success", messages)).toMatchObject({ state: "finished", executedMs });
  });

  test("says nothing of a lost prompt, which is the server's fault and to be tried again", () => {
    expect(errorOfSettled({ state: "absent", others: [] })).toMatchObject({
      code: "prompt_lost",
      errorClass: "server",
      retry: "later",
    });
  });
});
