import { stringifyPythonJson } from "../python/python-json.ts";

/** Binary messages (PROTOCOL 3): a big-endian type number, then the content for that type. */
const previewType = 1;
const textType = 3;
const previewWithMetadataType = 4;

/** Type 1: format and image, without the id of its prompt. */
export function previewFrame(format: "jpeg" | "png", image: Buffer): Buffer {
  return Buffer.concat([words(previewType, format === "jpeg" ? 1 : 2), image]);
}

/** Type 4: the same with the ids of prompt and node. */
export function previewWithMetadataFrame(
  about: {
    readonly nodeId: string;
    readonly promptId: string;
    readonly displayId: string;
    readonly parentId: string | undefined;
    readonly realId: string;
    readonly format: "jpeg" | "png";
  },
  image: Buffer,
): Buffer {
  const metadata = Buffer.from(
    stringifyPythonJson({
      node_id: about.nodeId,
      prompt_id: about.promptId,
      display_node_id: about.displayId,
      parent_node_id: about.parentId ?? null,
      real_node_id: about.realId,
      image_type: `image/${about.format}`,
    }),
  );
  return Buffer.concat([words(previewWithMetadataType, metadata.length), metadata, image]);
}

/** Type 3: text that a node shows while it runs. */
export function textFrame(nodeId: string, text: string): Buffer {
  const id = Buffer.from(nodeId);
  return Buffer.concat([words(textType, id.length), id, Buffer.from(text)]);
}

function words(...values: number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => buffer.writeUInt32BE(value, 4 * index));
  return buffer;
}
