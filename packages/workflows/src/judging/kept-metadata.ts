import { type ObjectInfo, type Workflow } from "@genga/comfyui";
import { namesOf, outputNodesOf } from "./output-nodes.ts";
import { strippedFormats } from "../parameters/output-options.ts";
import { silentClasses, temporaryClasses } from "./temporary-outputs.ts";

/**
 * Output nodes all of whose files are in formats that can be stripped, or carry no graph: ComfyUI's own (source of 0.3.64
 * and 0.28), AnimateDiff's and VideoHelperSuite's.
 */
const strippedClasses: ReadonlySet<string> = new Set([
  ...["SaveImage", "SaveImageAdvanced", "SaveAnimatedPNG", "SaveAnimatedWEBP", "SaveSVGNode"],
  ...["SaveVideo", "SaveWEBM", "VHS_VideoCombine", "ADE_AnimateDiffCombine"],
  ...["SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced"],
  ...["SaveGLB", "Preview3D", "Save3DAdvanced", "SaveGaussianSplat", "SavePointCloud"],
  ...["SaveLatent", "SaveText", "PreviewAny", "CreateBoundingBoxes"],
]);

/** Warns of writers that are not known: whether their files can be stripped depends on the format that they choose. */
export function warningOfKeptMetadata(
  workflow: Workflow,
  objectInfo: ObjectInfo | undefined,
  { stripMetadata }: { stripMetadata: boolean },
): string | undefined {
  if (!stripMetadata) return undefined;
  const unknown = outputNodesOf(workflow, objectInfo).filter(
    ([, { class_type: classType }]) =>
      !strippedClasses.has(classType) && !temporaryClasses.has(classType) && !silentClasses.has(classType),
  );
  if (unknown.length === 0) return undefined;
  return (
    `stripMetadata: it is not known in which formats ${namesOf(unknown)} may write. ${strippedFormats} are stripped; ` +
    "files of other formats keep whatever their writer put into them, such as the graph."
  );
}
