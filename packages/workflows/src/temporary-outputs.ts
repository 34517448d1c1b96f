import { linkOf, nodeTitleOf, type ObjectInfo } from "@genga/comfyui";
import { type Workflow } from "@genga/jobs";

type Node = Workflow[string];

/**
 * Output nodes whose files are always temporary, by class: `/object_info` does not tell. From the source of ComfyUI 0.3.64
 * and 0.28 and of the node packs. An output node that is not listed may save its files for good, or not.
 */
const temporaryClasses: ReadonlySet<string> = new Set([
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
const silentClasses: ReadonlySet<string> = new Set([
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

function isTemporary({ class_type: classType, inputs }: Node): boolean {
  const saving = savingInputs.get(classType);
  return temporaryClasses.has(classType) || (saving !== undefined && inputs[saving] === false);
}

function outputNodesOf(workflow: Workflow, objectInfo: ObjectInfo | undefined): [id: string, node: Node][] {
  const nodes = Object.entries(workflow);
  if (objectInfo !== undefined) {
    return nodes.filter(([, { class_type: classType }]) =>
      Object.hasOwn(objectInfo, classType) ? objectInfo[classType]?.isOutputNode : false,
    );
  }
  const taken = new Set(
    nodes.flatMap(([, { inputs }]) => Object.values(inputs).map((value) => linkOf(value)?.nodeId)),
  );
  return nodes.filter(([id]) => !taken.has(id));
}

/** At most three of them: a graph may preview a hundred pictures. */
function namesOf(nodes: [id: string, node: Node][]): string {
  const shown = nodes.slice(0, 3).map(([id, node]) => {
    const title = nodeTitleOf(node);
    return title === node.class_type ? `node ${id} (${title})` : `node ${id} "${title}" (${node.class_type})`;
  });
  const more = nodes.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}
