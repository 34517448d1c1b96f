import { previewWithMetadataFrame as frameWithMetadata } from "@genga/comfyui";
import { stringifyPythonJson } from "../python/python-json.ts";

export { previewFrame, textFrame } from "@genga/comfyui";

/** Type 4: a preview with the ids of prompt and node. */
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
  const metadata = stringifyPythonJson({
    node_id: about.nodeId,
    prompt_id: about.promptId,
    display_node_id: about.displayId,
    parent_node_id: about.parentId ?? null,
    real_node_id: about.realId,
    image_type: `image/${about.format}`,
  });
  return frameWithMetadata(metadata, image);
}
