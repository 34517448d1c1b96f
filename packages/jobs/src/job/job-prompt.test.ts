import { describe, expect, test } from "@jest/globals";
import { promptTextOf, shownPrompt } from "./job-prompt.ts";

const workflow = JSON.stringify({
  "1": { class_type: "CLIPTextEncode", inputs: { text: "a lighthouse", clip: ["2", 1] } },
  "2": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "model.safetensors" } },
  "3": { class_type: "CLIPTextEncodeSDXL", inputs: { text_g: "at dusk", text_l: "waves", width: 1024 } },
});

describe("What a text search looks through", () => {
  test("is the prompt that was asked for, and not what it shall avoid", () => {
    expect(promptTextOf({ parameters: { prompt: "a cat", negativePrompt: "dogs" }, workflow })).toBe("a cat");
  });

  test("is every text that a raw graph encodes, and no file name", () => {
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

describe("What an answer shows of a prompt", () => {
  const long = `x${"🌸".repeat(5_000)}`;

  test("is the whole prompt of an image or a video, with what it avoids", () => {
    const stored = { promptText: long, negativePrompt: "dogs" };
    for (const type of ["image", "video"] as const) {
      expect(shownPrompt({ type, ...stored })).toEqual({ prompt: long, negativePrompt: "dogs" });
    }
  });

  test("is the beginning of a raw workflow's texts, without half a character", () => {
    const { prompt } = shownPrompt({ type: "workflow", promptText: long, negativePrompt: null });
    expect(prompt).toBe(`${long.slice(0, 499)}…`);
    const shifted = shownPrompt({ type: "workflow", promptText: `y${long}`, negativePrompt: null });
    expect(shifted.prompt).toBe(`y${long.slice(0, 497)}…`);
  });

  test("is nothing where a workflow has no text", () => {
    expect(shownPrompt({ type: "workflow", promptText: "", negativePrompt: null })).toEqual({
      prompt: null,
      negativePrompt: null,
    });
  });
});
