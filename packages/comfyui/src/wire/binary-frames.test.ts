import { describe, expect, test } from "@jest/globals";

import { parseBinaryFrame } from "./binary-frames.ts";

/** The first bytes of frames recorded from the real server. */
const previewHead = "0000000100000001ffd8ffe000104a46494600010100000100010000ffdb0043";
const textFrame = "00000003000000013168656c6c6f";

describe("binary frames", () => {
  test("a preview without metadata has a format and no owner", () => {
    const frame = parseBinaryFrame(Buffer.from(previewHead, "hex"));
    expect(frame).toMatchObject({
      type: "preview",
      preview: { promptId: undefined, nodeId: undefined, mediaType: "image/jpeg" },
    });
    expect(frame?.type === "preview" && Buffer.from(frame.preview.bytes).subarray(0, 3).toString("hex")).toBe(
      "ffd8ff",
    );
  });

  test("a text names its node", () => {
    expect(parseBinaryFrame(Buffer.from(textFrame, "hex"))).toEqual({
      type: "text",
      nodeText: { nodeId: "1", text: "hello" },
    });
  });

  test("a preview with metadata names prompt and node", () => {
    const metadata = Buffer.from(
      '{"node_id": "2.0.1", "prompt_id": "p", "display_node_id": "2", "parent_node_id": null, "real_node_id": "2", "image_type": "image/jpeg"}',
    );
    const head = Buffer.alloc(8);
    head.writeUInt32BE(4, 0);
    head.writeUInt32BE(metadata.length, 4);
    expect(parseBinaryFrame(Buffer.concat([head, metadata, Buffer.from("JPEG")]))).toEqual({
      type: "preview",
      preview: { promptId: "p", nodeId: "2", mediaType: "image/jpeg", bytes: Buffer.from("JPEG") },
    });
  });

  test.each([
    ["nothing", ""],
    ["a type alone", "00000001"],
    ["an unknown type", "0000000200000001ff"],
    ["an unknown picture format", "0000000100000009ff"],
    ["a length beyond the end", "00000003000000ff31"],
    ["metadata that is no JSON", "00000004000000027b7bff"],
  ])("%s is not ours to understand", (_what, hex) => {
    expect(parseBinaryFrame(Buffer.from(hex, "hex"))).toBeUndefined();
  });
});
