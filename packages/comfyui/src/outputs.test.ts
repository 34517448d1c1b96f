import { describe, expect, test } from "@jest/globals";

import { collectOutputs } from "./outputs.ts";

describe("collecting outputs", () => {
  test("takes every element with a file name, under any key, in its place", () => {
    const outputs = {
      "9": { images: [file("a_00001_.png"), file("a_00002_.png")], animated: [true] },
      "12": {
        gifs: [
          {
            ...file("v_00001.mp4"),
            format: "video/h264-mp4",
            frame_rate: 8,
            workflow: "v_00001.png",
            fullpath: "/data/v",
          },
        ],
      },
      "13": { latents: [file("l.latent")], audio: [file("s.flac")], mesh: [file("m.glb")] },
    };
    expect(collectOutputs(outputs)).toMatchObject([
      { nodeId: "9", key: "images", index: 0, filename: "a_00001_.png" },
      { nodeId: "9", key: "images", index: 1, filename: "a_00002_.png" },
      { nodeId: "12", key: "gifs", filename: "v_00001.mp4", format: "video/h264-mp4", frameRate: 8 },
      { key: "latents", filename: "l.latent" },
      { key: "audio", filename: "s.flac" },
      { key: "mesh", filename: "m.glb" },
    ]);
  });

  test("takes texts as texts, and keeps temporary files apart", () => {
    expect(
      collectOutputs({ "1": { text: ["hello"] }, "2": { images: [{ ...file("t.png"), type: "temp" }] } }),
    ).toEqual([
      { kind: "text", nodeId: "1", key: "text", index: 0, text: "hello" },
      { kind: "file", nodeId: "2", key: "images", index: 0, filename: "t.png", subfolder: "", type: "temp" },
    ]);
  });

  test("moves folders out of the file name, where the server would drop them", () => {
    expect(
      collectOutputs({ "1": { x: [{ filename: "a/b/c.png", subfolder: "s", type: "output" }] } }),
    ).toMatchObject([{ filename: "c.png", subfolder: "s/a/b" }]);
  });

  test("passes over what is no output", () => {
    const outputs = {
      "1": null,
      "2": { a: [null, 1, {}, { filename: 7 }, { filename: "" }], b: "text", c: { filename: "x" } },
      "3": [1],
    };
    expect(collectOutputs(outputs)).toEqual([]);
  });
});

function file(filename: string): { filename: string; subfolder: string; type: string } {
  return { filename, subfolder: "", type: "output" };
}
