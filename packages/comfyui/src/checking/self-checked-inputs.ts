import { type WorkflowNode } from "../graph/workflow.ts";

/**
 * Inputs that a class of ComfyUI itself checks by a function of its own: the server then looks neither at the list nor at
 * the range that `/object_info` shows for them, and the definitions do not tell (`execution.py`, `validate_inputs`; the
 * classes' source in 0.28.0 and 0.33.0). Files to load are another matter: `isUploadInput`.
 */
const selfChecked: Readonly<Record<string, ReadonlySet<string> | "all">> = {
  CustomCombo: "all",
  Load3D: "all",
  Load3DAdvanced: "all",
  KlingCameraControls: new Set(["horizontal_movement", "vertical_movement", "pan", "tilt", "roll", "zoom"]),
  ModelAttentionBackend: new Set(["attention"]),
  SelectModelDevice: new Set(["device"]),
  SelectCLIPDevice: new Set(["device"]),
  SelectVAEDevice: new Set(["device"]),
};

/** Classes that judge the types of links themselves, and what they accept. */
const ownLinkTypesByClass: Readonly<Record<string, Readonly<Record<string, ReadonlySet<string>>>>> = {
  TripoConversionNode: {
    original_model_task_id: new Set(["MODEL_TASK_ID", "RIG_TASK_ID", "RETARGET_TASK_ID"]),
  },
};

/** Whether the class checks the values of this input itself, so that its list and range do not count. */
export function checksItself(classType: string, input: string): boolean {
  const inputs = Object.hasOwn(selfChecked, classType) ? selfChecked[classType] : undefined;
  return inputs === "all" || inputs?.has(input) === true;
}

/** The types that a class itself accepts on this input; `undefined` for the classes that leave it to the server. */
export function ownLinkTypes(classType: string, input: string): ReadonlySet<string> | undefined {
  const inputs = Object.hasOwn(ownLinkTypesByClass, classType) ? ownLinkTypesByClass[classType] : undefined;
  return inputs?.[input];
}

/** What the class's own check says of the node as a whole, where it can be told from the graph: the input and why. */
export function ownVerdict({
  class_type: classType,
  inputs,
}: WorkflowNode): [input: string, text: string] | undefined {
  if (
    classType === "ComfySoftSwitchNode" &&
    inputs["on_false"] === undefined &&
    inputs["on_true"] === undefined
  ) {
    return ["on_false", "at least one of on_false and on_true must be linked."];
  }
  return undefined;
}
