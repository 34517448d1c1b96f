import { describe, expect, test } from "@jest/globals";
import { promptText } from "./prompt-text.ts";

const workflow = JSON.stringify({
  "1": { class_type: "CLIPTextEncode", inputs: { text: "a lighthouse", clip: ["2", 1] } },
  "2": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "model.safetensors" } },
  "3": { class_type: "CLIPTextEncodeSDXL", inputs: { text_g: "at dusk", text_l: "waves", width: 1024 } },
});

describe("What a text search looks through", () => {
  test("is the prompt that was asked for, and not what it shall avoid", () => {
    expect(promptText({ parameters: { prompt: "a cat", negativePrompt: "dogs" }, workflow })).toBe("a cat");
  });

  test("is every text that a raw graph encodes, and no file name", () => {
    expect(promptText({ parameters: {}, workflow })).toBe("a lighthouse\nat dusk\nwaves");
    expect(promptText({ parameters: null, workflow })).toBe("a lighthouse\nat dusk\nwaves");
  });

  test("is bounded", () => {
    expect(promptText({ parameters: { prompt: "x".repeat(50_000) }, workflow })).toHaveLength(10_000);
  });
});
