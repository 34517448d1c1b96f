import { type ObjectInfo, type Workflow } from "@genga/comfyui";
import { namesOf, outputNodesOf } from "./output-nodes.ts";
import { strippedFormats } from "../parameters/output-options.ts";
import { silentClasses, temporaryClasses } from "./temporary-outputs.ts";

/**
 * Output node classes whose files are always in formats that Genga can strip, or carry no graph: classes of ComfyUI
 * (source of 0.3.64 and 0.28), AnimateDiff and VideoHelperSuite.
 */
const strippedClasses: ReadonlySet<string> = new Set([
  ...["SaveImage", "SaveImageAdvanced", "SaveAnimatedPNG", "SaveAnimatedWEBP", "SaveSVGNode"],
  ...["SaveVideo", "SaveWEBM", "VHS_VideoCombine", "ADE_AnimateDiffCombine"],
  ...["SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced"],
  ...["SaveGLB", "Preview3D", "Save3DAdvanced", "SaveGaussianSplat", "SavePointCloud"],
  ...["SaveLatent", "SaveText", "PreviewAny", "CreateBoundingBoxes"],
]);

/**
 * Warns about output nodes of unknown classes: whether Genga can strip their files depends on the format that they
 * write.
 */
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
    `stripMetadata: Genga does not know in which formats ${namesOf(unknown)} may write. ${strippedFormats} are stripped; ` +
    "files of other formats keep the metadata that their writer put into them, such as the graph."
  );
}
