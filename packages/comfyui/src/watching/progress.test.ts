import { describe, expect, test } from "@jest/globals";

import { type PromptMessage } from "../wire/messages.ts";
import { initialProgress, passTime, reduceProgress, weighNodes, type ProgressState } from "./progress.ts";

const ofPrompt = { prompt_id: "p" };
const workflow = {
  load: { class_type: "OddLoader", inputs: {} },
  sample: { class_type: "OddSamplerThing", inputs: { steps: 4 } },
  upscale: { class_type: "NobodyKnows", inputs: {} },
};
/** Four steps of 100 ms, then one node that takes as long as a hundred of them. */
const measured = new Map([
  ["sample", { ms: 100, steps: 4 }],
  ["upscale", { ms: 600, steps: null }],
]);

const enter = (node: string): PromptMessage => ({
  type: "executing",
  data: { node, display_node: node, ...ofPrompt },
});
const step = (value: number, max = 4): PromptMessage => ({
  type: "progress",
  data: { node: "sample", value, max, ...ofPrompt },
});

function after(state: ProgressState, ...messages: PromptMessage[]): ProgressState {
  return messages.reduce(reduceProgress, state);
}

describe("nodes that were measured before", () => {
  test("share the bar by their times, whatever their classes are called", () => {
    const begun = after(weighNodes(initialProgress(workflow), measured), enter("load"), enter("sample"));
    expect(begun.progress.percent).toBeLessThan(1);
    const percents = [1, 2, 3, 4].map(
      (_value, index) =>
        after(begun, ...[1, 2, 3, 4].slice(0, index + 1).map((value) => step(value))).progress.percent,
    );
    for (const [index, percent] of percents.entries()) expect(percent).toBeCloseTo(10 * (index + 1), 0);
  });

  test("count by the steps that they report", () => {
    const state = after(weighNodes(initialProgress(workflow), measured), enter("sample"), step(7, 14));
    expect(state.progress.percent).toBeCloseTo((100 * 700) / (1_400 + 600), 0);
  });

  test("move on while they are silent, but never to their end, and never beyond their next step", () => {
    const begun = weighNodes(initialProgress(workflow), measured);
    const silent = after(begun, enter("sample"), step(4), enter("upscale"));
    expect(passTime(silent, 300).progress.percent).toBeCloseTo(70, 0);
    expect(passTime(silent, 3_600_000).progress.percent).toBeCloseTo(97, 0);
    const stepping = after(begun, enter("sample"), step(1));
    expect(passTime(stepping, 50).progress.percent).toBeCloseTo(15, 0);
    expect(passTime(stepping, 3_600_000).progress.percent).toBeLessThan(20);
    expect(passTime(stepping, 3_600_000).progress.step).toBe(1);
  });

  test("never let the percentage fall, whenever they become known", () => {
    const guessed = after(initialProgress(workflow), enter("sample"), step(4));
    const weighed = weighNodes(guessed, measured);
    expect(weighed.progress.percent).toBeGreaterThanOrEqual(guessed.progress.percent);
    const passed = passTime(after(weighed, enter("upscale")), 100);
    expect(passed.progress.percent).toBeGreaterThanOrEqual(weighed.progress.percent);
    const late = after(passed, step(2), enter("upscale"));
    expect(late.progress.percent).toBeGreaterThanOrEqual(passed.progress.percent);
  });

  test("nothing passes while nothing was measured", () => {
    const state = after(initialProgress(workflow), enter("upscale"));
    expect(passTime(state, 60_000)).toBe(state);
  });
});
