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

  test("takes the 3D model that a node names in a text, and not the camera beside it", () => {
    const camera = { position: { x: 1 } };
    const hex = "0123456789abcdef".repeat(2);
    expect(
      collectOutputs({
        "1": { result: ["3d/ComfyUI_00001.glb", camera, "temp/bg_1.png"] },
        "2": { result: [`preview_splat_${hex}.ply`, camera, []] },
        "3": { result: ["../../etc/x.glb", null] },
        "4": { result: ["a sentence"], text: ["mesh.glb"] },
      }),
    ).toEqual([
      {
        ...{ kind: "file", nodeId: "1", key: "result", index: 0, filename: "ComfyUI_00001.glb" },
        ...{ subfolder: "3d", type: "output", orText: "3d/ComfyUI_00001.glb" },
      },
      {
        ...{ kind: "file", nodeId: "2", key: "result", index: 0, filename: `preview_splat_${hex}.ply` },
        ...{ subfolder: "", type: "temp", orText: `preview_splat_${hex}.ply` },
      },
      { kind: "text", nodeId: "3", key: "result", index: 0, text: "../../etc/x.glb" },
      { kind: "text", nodeId: "4", key: "result", index: 0, text: "a sentence" },
      { kind: "text", nodeId: "4", key: "text", index: 0, text: "mesh.glb" },
    ]);
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
