import { z } from "zod";

import { parsePythonJson } from "../json/exact-json.ts";

/** A picture of the work in progress. Without metadata (frame type 1) it does not name its prompt. */
export interface Preview {
  promptId: string | undefined;
  nodeId: string | undefined;
  mediaType: string;
  bytes: Uint8Array;
}

/** A line of text that a node sent while it ran. */
export interface NodeText {
  nodeId: string;
  text: string;
}

export type BinaryFrame = { type: "preview"; preview: Preview } | { type: "text"; nodeText: NodeText };

const headerBytes = 4;
const previewType = 1;
const textType = 3;
const previewWithMetadataType = 4;
const imageFormats: Readonly<Record<number, string>> = { 1: "image/jpeg", 2: "image/png" };

const previewMetadataSchema = z.object({
  prompt_id: z.string().nullish(),
  node_id: z.string().nullish(),
  display_node_id: z.string().nullish(),
  image_type: z.string().nullish(),
});

/**
 * Reads one binary message (PROTOCOL 3, "Binary messages"): types 1, 3 and 4. `undefined` for other types (custom
 * node packs send their own) and for layouts that do not add up: the caller counts them.
 */
export function parseBinaryFrame(frame: Buffer): BinaryFrame | undefined {
  if (frame.length < headerBytes * 2) return undefined;
  const rest = frame.subarray(headerBytes);
  switch (frame.readUInt32BE(0)) {
    case previewType:
      return parsePreview(rest);
    case textType:
      return parseText(rest);
    case previewWithMetadataType:
      return parsePreviewWithMetadata(rest);
    default:
      return undefined;
  }
}

function parsePreview(rest: Buffer): BinaryFrame | undefined {
  const mediaType = imageFormats[rest.readUInt32BE(0)];
  if (mediaType === undefined) return undefined;
  const bytes = rest.subarray(headerBytes);
  return { type: "preview", preview: { promptId: undefined, nodeId: undefined, mediaType, bytes } };
}

function parseText(rest: Buffer): BinaryFrame | undefined {
  const parts = splitPrefixed(rest);
  if (parts === undefined) return undefined;
  return {
    type: "text",
    nodeText: { nodeId: parts.head.toString("utf8"), text: parts.tail.toString("utf8") },
  };
}

function parsePreviewWithMetadata(rest: Buffer): BinaryFrame | undefined {
  const parts = splitPrefixed(rest);
  if (parts === undefined) return undefined;
  let json: unknown;
  try {
    json = parsePythonJson(parts.head.toString("utf8"));
  } catch {
    return undefined; // Counted by the caller like any other unknown layout.
  }
  const metadata = previewMetadataSchema.safeParse(json).data;
  if (metadata === undefined) return undefined;
  return {
    type: "preview",
    preview: {
      promptId: metadata.prompt_id ?? undefined,
      nodeId: metadata.display_node_id ?? metadata.node_id ?? undefined,
      mediaType: metadata.image_type ?? "image/jpeg",
      bytes: parts.tail,
    },
  };
}

/** The parts of a preview's frame, of type 1 or 4; `undefined` for any other. */
export function previewParts(
  frame: Buffer,
): { metadata: string | undefined; format: "jpeg" | "png"; image: Buffer } | undefined {
  const preview = parseBinaryFrame(frame);
  if (preview?.type !== "preview") return undefined;
  const rest = frame.subarray(headerBytes);
  const format = preview.preview.mediaType === "image/png" ? "png" : "jpeg";
  if (frame.readUInt32BE(0) === previewType) {
    return { metadata: undefined, format, image: rest.subarray(headerBytes) };
  }
  const parts = splitPrefixed(rest);
  return parts && { metadata: parts.head.toString("utf8"), format, image: parts.tail };
}

/** A frame of type 1: it does not name its prompt. */
export function previewFrame(format: "jpeg" | "png", image: Uint8Array): Buffer {
  const number = Object.keys(imageFormats).find((known) => imageFormats[Number(known)] === `image/${format}`);
  return Buffer.concat([words(previewType, Number(number)), image]);
}

/** A frame of type 4. @param metadata as JSON text */
export function previewWithMetadataFrame(metadata: string, image: Uint8Array): Buffer {
  const head = Buffer.from(metadata);
  return Buffer.concat([words(previewWithMetadataType, head.length), head, image]);
}

/** A frame of type 3. */
export function textFrame(nodeId: string, text: string): Buffer {
  const head = Buffer.from(nodeId);
  return Buffer.concat([words(textType, head.length), head, Buffer.from(text)]);
}

function words(...values: number[]): Buffer {
  const buffer = Buffer.alloc(headerBytes * values.length);
  for (const [index, value] of values.entries()) buffer.writeUInt32BE(value, headerBytes * index);
  return buffer;
}

/** What each media type begins with. */
const signatures: Readonly<Record<string, readonly number[]>> = {
  "image/jpeg": [0xff, 0xd8, 0xff],
  "image/png": [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
};

/** Whether a preview is a picture of the type that it says, and not too large to be shown. */
export function isPicture({ mediaType, bytes }: Preview, bytesMax: number): boolean {
  const signature = Object.hasOwn(signatures, mediaType) ? signatures[mediaType] : undefined;
  if (signature === undefined || bytes.length <= signature.length || bytes.length > bytesMax) return false;
  return signature.every((byte, index) => bytes[index] === byte);
}

/** `uint32 length, head (length bytes), tail (the rest)`. */
function splitPrefixed(bytes: Buffer): { head: Buffer; tail: Buffer } | undefined {
  const headEnd = headerBytes + bytes.readUInt32BE(0);
  if (headEnd > bytes.length) return undefined;
  return { head: bytes.subarray(headerBytes, headEnd), tail: bytes.subarray(headEnd) };
}
