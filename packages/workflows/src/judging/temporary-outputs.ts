import { type ObjectInfo, type Workflow } from "@genga/comfyui";
import { namesOf, outputNodesOf } from "./output-nodes.ts";
import { socketClasses, unkeptClasses } from "./socket-classes.ts";

/**
 * Output nodes whose files are always temporary, by class, since `/object_info` does not show this. From the source of
 * ComfyUI 0.3.64 and 0.28 and of the node packs. For a class that is not listed it is unknown whether its files are
 * temporary.
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

/**
 * Output nodes that add nothing to a prompt's outputs: they only write files into the server's own folders, or send a
 * socket message.
 */
export const silentClasses: ReadonlySet<string> = new Set([
  ...socketClasses.keys(),
  ...unkeptClasses,
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
 * Warns about a graph that succeeds and leaves nothing to fetch, since its outputs are all temporary or stay on the
 * server; and about nodes whose results go to a socket only, beside others that are stored.
 *
 * @param objectInfo says which nodes are output nodes; without it, nodes whose results no other node uses count
 */
export function warningOfTemporaryOutputs(
  workflow: Workflow,
  objectInfo: ObjectInfo | undefined,
  { keepPreviews }: { keepPreviews: boolean },
): string | undefined {
  const outputs = outputNodesOf(workflow, objectInfo);
  const temporary = outputs.filter(([, node]) => isTemporaryNode(node));
  const silent = outputs.filter(([, { class_type: classType }]) => silentClasses.has(classType));
  const leavesNothing = outputs.length > 0 && temporary.length + silent.length === outputs.length;
  if (leavesNothing && temporary.length === 0) {
    return `No output will be stored: ${namesOf(silent)} only leaves files on the server, or sends them to a socket.`;
  }
  if (leavesNothing && !keepPreviews) {
    return (
      `No output will be stored: the files of ${namesOf(temporary)} are temporary. ` +
      'Send "keepPreviews": true to have them stored, or end the graph with a node that saves, such as SaveImage.'
    );
  }
  const unkept = silent.filter(
    ([, { class_type: name }]) => socketClasses.has(name) || unkeptClasses.has(name),
  );
  if (unkept.length === 0) return undefined;
  return (
    `What ${namesOf(unkept)} makes will not be stored: the server only sends it to a socket, or has it in its memory for a while. ` +
    "End the graph with a node that saves, such as SaveImage."
  );
}

/** Whether the files of such a node are always temporary. */
export function isTemporaryNode({ class_type: classType, inputs }: Workflow[string]): boolean {
  const saving = savingInputs.get(classType);
  return temporaryClasses.has(classType) || (saving !== undefined && inputs[saving] === false);
}
