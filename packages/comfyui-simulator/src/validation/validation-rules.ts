import { type InputSpec, type NodeCatalog, type NodeClass, type OutputType } from "../nodes/node-catalog.ts";
import { pythonRepr, pythonText, type PythonDict, type PythonValue } from "../python/python-values.ts";
import { finalInputs } from "./dynamic-inputs.ts";
import { pythonEquals, shareAType } from "./input-types.ts";

/** The rules that differ between the two versions of the server. */
export interface ValidationRules {
  /** The inputs that a node has, given what it was sent. */
  readonly inputsOf: (nodeClass: NodeClass, given: PythonDict) => readonly InputSpec[];
  /** The name of a missing input in `details`. */
  readonly shortName: (nodeClass: NodeClass, input: InputSpec) => string;
  readonly typesMatch: (received: OutputType, wanted: InputSpec["type"]) => boolean;
  readonly accepted: (
    catalog: NodeCatalog,
    nodeClass: NodeClass,
    input: InputSpec,
  ) => PythonValue[] | undefined;
  /** The values of one input that are not among the accepted ones. */
  readonly unlisted: (input: InputSpec, value: PythonValue, accepted: PythonValue[]) => PythonValue[];
  /** How `details` quotes them. */
  readonly quoted: (unlisted: PythonValue[]) => string;
  readonly namesCycles: boolean;
}

/** 0.3.64: lists are checked only where the type itself is the list (PROTOCOL 2). */
export const olderRules: ValidationRules = {
  inputsOf: (nodeClass) => nodeClass.inputs,
  shortName: (_nodeClass, input) => input.name,
  typesMatch: (received, wanted) =>
    shareAType(typeof received === "string" ? received : "COMBO", typeText(wanted)),
  accepted: (catalog, nodeClass, input) => catalog.accepted(nodeClass, input),
  unlisted: (_input, value, accepted) => unlistedIn([value], accepted),
  quoted: (unlisted) => unlisted.map((value) => `'${pythonText(value)}'`).join(", "),
  namesCycles: false,
};

/** 0.28: dynamic groups, match types, checked COMBO options, several choices at once (PROTOCOL-0.28, 1 and 2). */
export const newerRules: ValidationRules = {
  inputsOf: (nodeClass, given) =>
    nodeClass.isNewStyle ? finalInputs(nodeClass, given).inputs : nodeClass.inputs,
  shortName: (nodeClass, input) =>
    nodeClass.isNewStyle && input.name.includes(".") ? lastPart(input.name) : input.name,
  typesMatch: newerTypesMatch,
  accepted: (catalog, nodeClass, input) =>
    input.type === "COMBO" ? catalog.comboOptions(nodeClass, input) : catalog.accepted(nodeClass, input),
  unlisted: (input, value, accepted) =>
    input.options.get("multiselect") === true && Array.isArray(value)
      ? unlistedIn(value, accepted)
      : unlistedIn([value], accepted),
  quoted: (unlisted) => unlisted.map(pythonRepr).join(", "),
  namesCycles: true,
};

const matchType = "COMFY_MATCHTYPE_V3";

/** A list as a type matches only COMBO and an equal list. */
function newerTypesMatch(received: OutputType, wanted: InputSpec["type"]): boolean {
  if (received === "*" || wanted === "*" || received === matchType || wanted === matchType) return true;
  if (typeof received !== "string") {
    return wanted === "COMBO" || (typeof wanted !== "string" && pythonRepr(received) === pythonRepr(wanted));
  }
  return typeof wanted === "string" && shareAType(received, wanted);
}

function unlistedIn(values: PythonValue[], accepted: PythonValue[]): PythonValue[] {
  return values.filter((value) => !accepted.some((option) => pythonEquals(option, value)));
}

function typeText(type: InputSpec["type"]): string {
  return typeof type === "string" ? type : pythonRepr(type);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}
