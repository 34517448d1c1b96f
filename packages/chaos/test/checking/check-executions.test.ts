import { describe, expect, test } from "@jest/globals";
import { type Forgery, violationsAfter, violationsOf } from "./forgery.ts";
import { cancelledHistory, otherServer, server } from "./true-history.ts";

describe("executions on servers: the check finds", () => {
  const forgeries: Forgery[] = [
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
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });

  test("a job that goes on executing after it was said to be cancelled", () => {
    const history = cancelledHistory();
    history.executions[1]!.at = 5_000;
    expect(violationsOf(history)).toEqual([expect.stringMatching(/executions: it was still executing when/)]);
    history.executions.pop(); // it never ended
    expect(violationsOf(history)).toEqual([expect.stringMatching(/executions: it was still executing when/)]);
  });
});
