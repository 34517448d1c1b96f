import { describe, expect, test } from "@jest/globals";
import { describe as describeJob, bar, type JobState } from "./job-line.ts";
import { createProgressBoard, type BoardOutput } from "./progress-board.ts";

const unmeasured = { remainingLowMs: null, remainingHighMs: null };
const nothing = { percent: 0, node: null, nodeTitle: null, step: null, steps: null, ...unmeasured };

function job(
  fields: Partial<Omit<JobState, "progress">> & { progress?: Partial<JobState["progress"]> },
): JobState {
  const state = {
    status: "processing",
    phase: "executing",
    attempt: 1,
    failure: null,
  } as const;
  return { ...state, ...fields, progress: { ...nothing, ...fields.progress } };
}

function screen(isTTY: boolean): BoardOutput & { text: () => string } {
  let written = "";
  return { isTTY, columns: 60, write: (text: string) => (written += text), text: () => written };
}

describe("a job in words", () => {
  test.each([
    [job({ status: "queued", phase: "waiting", attempt: 0 }), "waits"],
    [job({ status: "queued", attempt: 0, waitingFor: { message: "It is next." } }), "waits: It is next."],
    [
      job({
        status: "queued",
        phase: "waiting",
        failure: { message: "The server is gone." },
      }),
      "waits again: The server is gone.",
    ],
    [job({ phase: "submitted" }), "waits on the server"],
    [job({}), "starting"],
    [job({ progress: { node: "3", nodeTitle: "KSampler", step: 4, steps: 20 } }), "KSampler, step 4/20"],
    [job({ progress: { node: "8" } }), "8"],
    [job({ progress: { node: "8", remainingLowMs: 3_400, remainingHighMs: 5_000 } }), "8, 3.4–5.0 s left"],
    [
      job({
        ...{ status: "queued", attempt: 0, waitingFor: { message: "It is next." } },
        eta: { endsAt: { low: "2026-01-01T00:00:00Z", high: "2026-01-01T00:00:00Z" } },
      }),
      "waits, ends in 0–0 s: It is next.",
    ],
    [job({ phase: "saving" }), "saving the files"],
    [job({ status: "completed", phase: null }), "completed"],
    [job({ status: "failed", phase: null, failure: { message: "No memory." } }), "failed: No memory."],
    [job({ status: "cancelled", phase: null }), "cancelled"],
  ])("%#", (state, words) => {
    expect(describeJob(state)).toBe(words);
  });

  test.each([
    [0, "░░░░"],
    [50, "██░░"],
    [100, "████"],
    [140, "████"],
  ])("with a bar for %d percent", (percent, expected) => {
    expect(bar(percent, 4)).toBe(expected);
  });
});

describe("a progress board", () => {
  test("writes a line for each meaningful change where there is no terminal", () => {
    const output = screen(false);
    const board = createProgressBoard(output, ["image 1", "image 2"]);
    board.update(0, job({ progress: { percent: 10.7, node: "3", nodeTitle: "KSampler" } }));
    board.update(0, job({ progress: { percent: 11, node: "3", nodeTitle: "KSampler" } })); // within the same second
    board.update(1, job({ status: "queued", attempt: 0 }));
    board.update(0, job({ status: "completed", progress: { percent: 100 } }));
    board.finish();
    expect(output.text().split("\n")).toEqual([
      expect.stringMatching(/^ +\d\.\d s {2}image 1 {3}10 % {2}KSampler$/),
      expect.stringMatching(/image 2 {4}0 % {2}waits$/),
      expect.stringMatching(/image 1 {2}100 % {2}completed$/),
      "",
    ]);
  });

  test("redraws one line for each job in place on a terminal, none wider than it", () => {
    const output = screen(true);
    const board = createProgressBoard(output, ["image 1", "video"]);
    board.update(1, job({ progress: { percent: 50, node: "3", nodeTitle: "a very long title ".repeat(9) } }));
    board.print("the worker is back");
    board.finish();
    const frames = output.text().split("\u001b[2A\u001b[J");
    expect(frames).toHaveLength(3);
    expect(frames[1]).toContain("the worker is back\nimage 1 ");
    const last = frames[2]!.trimEnd().split("\n");
    expect(last[0]).toMatch(/^image 1 ░{20} {3}0 % {2}accepted$/);
    expect(last[1]).toMatch(/^video {3}█{10}░{10} {2}50 % {2}a very/);
    expect(last[1]).toHaveLength(59);
  });
});
