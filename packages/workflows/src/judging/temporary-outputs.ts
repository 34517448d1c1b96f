import { type ObjectInfo, type Workflow } from "@genga/comfyui";
import { namesOf, outputNodesOf } from "./output-nodes.ts";

/**
 * Output nodes whose files are always temporary, by class: `/object_info` does not tell. From the source of ComfyUI 0.3.64
 * and 0.28 and of the node packs. An output node that is not listed may save its files for good, or not.
 */
export const temporaryClasses: ReadonlySet<string> = new Set([
  "PreviewImage",
  "MaskPreview",
  "PreviewAudio",
  "ImageCompare",
  "LossGraphNode",
  "SAM3_TrackPreview",
  "Preview3DAdvanced",
  "PreviewGaussianSplat",
  "PreviewPointCloud",
  "Image Comparer (rgthree)",
  "PreviewBridge",
  "PreviewBridgeLatent",
]);

/** Nodes that write to the temporary folder when this input is false. */
const savingInputs: ReadonlyMap<string, string> = new Map([
  ["VHS_VideoCombine", "save_output"],
  ["ADE_AnimateDiffCombine", "save_image"],
]);

/** Output nodes that leave nothing in a prompt's outputs: files in the server's own folders, or only a socket message. */
export const silentClasses: ReadonlySet<string> = new Set([
  "SaveImageWebsocket",
  "CheckpointSave",
  "ImageOnlyCheckpointSave",
  "CLIPSave",
  "VAESave",
  "ModelSave",
  "LoraSave",
  "SaveLoRA",
  "SaveImageDataSetToFolder",
  "SaveImageTextDataSetToFolder",
  "SaveTrainingDataset",
  "VHS_PruneOutputs",
]);

/**
 * Warns of a graph that ends well and leaves nothing to fetch, since its outputs are all temporary or stay on the
 * server. Says nothing where one output node is of a class that is not known to do that.
 *
 * @param objectInfo tells which nodes are outputs; without it those count whose results no other node takes
 */
export function warningOfTemporaryOutputs(
  workflow: Workflow,
  objectInfo: ObjectInfo | undefined,
  { keepPreviews }: { keepPreviews: boolean },
): string | undefined {
  const outputs = outputNodesOf(workflow, objectInfo);
  const temporary = outputs.filter(([, node]) => isTemporary(node));
  const silent = outputs.filter(([, { class_type: classType }]) => silentClasses.has(classType));
  if (outputs.length === 0 || temporary.length + silent.length < outputs.length) return undefined;
  if (temporary.length === 0) {
    return `No output will be stored: ${namesOf(silent)} only leaves files on the server, or sends them to a socket.`;
  }
  if (keepPreviews) return undefined;
  return (
    `No output will be stored: the files of ${namesOf(temporary)} are temporary. ` +
    'Send "keepPreviews": true to have them stored, or end the graph with a node that saves, such as SaveImage.'
  );
}

function isTemporary({ class_type: classType, inputs }: Workflow[string]): boolean {
  const saving = savingInputs.get(classType);
  return temporaryClasses.has(classType) || (saving !== undefined && inputs[saving] === false);
}
