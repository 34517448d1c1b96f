import { type WorkflowNode } from "../graph/workflow.ts";

/**
 * Inputs that a class of ComfyUI checks by a function of its own. The server then ignores the list and the range that
 * `/object_info` shows for them, and `/object_info` does not say so (`execution.py`, `validate_inputs`; the classes'
 * source in 0.28.0 and 0.33.0). Inputs that name files to load are not listed here: see `isUploadInput`.
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

/** Classes that check the types of links by themselves, and the types that they accept. */
const ownLinkTypesByClass: Readonly<Record<string, Readonly<Record<string, ReadonlySet<string>>>>> = {
  TripoConversionNode: {
    original_model_task_id: new Set(["MODEL_TASK_ID", "RIG_TASK_ID", "RETARGET_TASK_ID"]),
  },
};

/**
 * Whether the class checks the values of this input by itself, so that the server ignores the input's list and range.
 */
export function checksItself(classType: string, input: string): boolean {
  const inputs = Object.hasOwn(selfChecked, classType) ? selfChecked[classType] : undefined;
  return inputs === "all" || inputs?.has(input) === true;
}

/** The types that a class itself accepts on this input; `undefined` for the classes that leave it to the server. */
export function ownLinkTypes(classType: string, input: string): ReadonlySet<string> | undefined {
  const inputs = Object.hasOwn(ownLinkTypesByClass, classType) ? ownLinkTypesByClass[classType] : undefined;
  return inputs?.[input];
}

/** The input that the class's own check of the whole node would refuse, and why, where the graph already shows it. */
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
