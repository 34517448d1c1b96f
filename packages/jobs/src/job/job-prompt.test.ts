import { describe, expect, test } from "@jest/globals";
import { promptTextOf, shownPrompt } from "./job-prompt.ts";

const workflow = JSON.stringify({
  "1": { class_type: "CLIPTextEncode", inputs: { text: "a lighthouse", clip: ["2", 1] } },
  "2": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "model.safetensors" } },
  "3": { class_type: "CLIPTextEncodeSDXL", inputs: { text_g: "at dusk", text_l: "waves", width: 1024 } },
});

describe("The text that a search for jobs goes through", () => {
  test("is the prompt without the negative prompt", () => {
    expect(promptTextOf({ parameters: { prompt: "a cat", negativePrompt: "dogs" }, workflow })).toBe("a cat");
  });

  test("is, for a raw graph, every text that its nodes encode, and no file name", () => {
    expect(promptTextOf({ parameters: {}, workflow })).toBe("a lighthouse\nat dusk\nwaves");
    expect(promptTextOf({ parameters: null, workflow })).toBe("a lighthouse\nat dusk\nwaves");
  });

  test("is bounded, and ends with a whole character", () => {
    expect(promptTextOf({ parameters: { prompt: "x".repeat(50_000) }, workflow })).toHaveLength(10_000);
    const odd = `x${"🌸".repeat(5_000)}`;
    const graph = JSON.stringify({ "1": { class_type: "CLIPTextEncode", inputs: { text: odd } } });
    expect(promptTextOf({ parameters: {}, workflow: graph })).toBe(odd.slice(0, -2));
  });
});

describe("The prompt in an answer", () => {
  const long = `x${"🌸".repeat(5_000)}`;

  test("is, for an image or a video, the whole prompt and the negative prompt", () => {
    const stored = { promptText: long, negativePrompt: "dogs" };
    for (const type of ["image", "video"] as const) {
      expect(shownPrompt({ type, ...stored })).toEqual({ prompt: long, negativePrompt: "dogs" });
    }
  });

  test("is, for a raw workflow, the beginning of its texts, cut between two characters", () => {
    const { prompt } = shownPrompt({ type: "workflow", promptText: long, negativePrompt: null });
    expect(prompt).toBe(`${long.slice(0, 499)}…`);
    const shifted = shownPrompt({ type: "workflow", promptText: `y${long}`, negativePrompt: null });
    expect(shifted.prompt).toBe(`y${long.slice(0, 497)}…`);
  });

  test("is null for a workflow without texts", () => {
    expect(shownPrompt({ type: "workflow", promptText: "", negativePrompt: null })).toEqual({
      prompt: null,
      negativePrompt: null,
    });
  });
});
