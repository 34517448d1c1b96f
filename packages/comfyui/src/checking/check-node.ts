import {
  checkLink,
  checkUndeclaredLink,
  definitionOf,
  isOwnClass,
  missingNode,
  type Verdict,
} from "./check-link.ts";
import { checkDynamicInputs, checkUnknownMember } from "./check-dynamic.ts";
import { isFileList } from "../classes/file-lists.ts";
import { liveInputsOf, type LiveInputs } from "../classes/dynamic-inputs.ts";
import {
  describeNode,
  inputProblem,
  isFull,
  shortName,
  show,
  type GraphValidation,
  type InputProblem,
  type NotChecked,
} from "../graph/graph-problem.ts";
import { isObject } from "../json/is-object.ts";
import { checkValue, isByOptions } from "./input-values.ts";
import {
  isUploadInput,
  listOf,
  specOf,
  type InputSpec,
  type NodeDefinition,
  type ObjectInfo,
} from "../classes/object-info.ts";
import { checkRequired } from "./missing-inputs.ts";
import { checksItself, ownVerdict } from "./self-checked-inputs.ts";
import { checkFormatWidgets, formatWidgetsOf } from "./video-combine-widgets.ts";
import { wrappedLinkOf } from "./wrapped-links.ts";
import { linkOf, type Workflow, type WorkflowNode } from "../graph/workflow.ts";

export interface NodeInContext {
  nodeId: string;
  node: WorkflowNode;
  workflow: Workflow;
  objectInfo: ObjectInfo;
  /** Names of files that will be on the server by the time the graph runs. */
  uploads: ReadonlySet<string> | undefined;
}

/** The results for all nodes together. Every list grows while the nodes are judged. */
export type Findings = Required<GraphValidation>;

/** Judges one node that some output needs, as the server's `validate_inputs` does, and a little beyond. */
export function checkNode(context: NodeInContext, findings: Findings): void {
  const { nodeId, node, objectInfo } = context;
  const definition = definitionOf(node, objectInfo);
  const add = (input: string, { error, warning, notChecked }: Verdict): void => {
    if (error !== undefined && !isFull(findings.errors))
      findings.errors.push(inputProblem(nodeId, node, input, error));
    if (warning !== undefined && !isFull(findings.warnings))
      findings.warnings.push(inputProblem(nodeId, node, input, warning));
    if (notChecked !== undefined) findings.notChecked.push(notCheckedInput(nodeId, node, input, notChecked));
  };
  if (definition?.areInputsKnown !== true) {
    if (definition !== undefined) findings.notChecked.push(notCheckedNode(nodeId, node));
    for (const [input, value] of Object.entries(node.inputs)) add(input, checkDeadlyLink(value, context));
    return;
  }
  const live = liveInputsOf(definition, node.inputs);
  checkRequired(definition, live, node, add);
  checkDynamicInputs(live, node, add);
  const widgets = formatWidgetsOf(node, definition);
  const inputContext = { ...context, definition, live, widgets, hintAt: hintsAt(live) };
  for (const [input, value] of Object.entries(node.inputs)) {
    add(input, checkInput(inputContext, input, value));
  }
  const own = ownVerdict(node);
  if (own !== undefined) add(own[0], { error: { code: "custom_validation_failed", text: own[1] } });
}

function notCheckedInput(nodeId: string, node: WorkflowNode, input: string, why: string): NotChecked {
  const message = `${describeNode(nodeId, node)}, ${shortName(input)}: not checked, since ${why}; the server decides.`;
  return { nodeId, classType: node.class_type, input, message };
}

function notCheckedNode(nodeId: string, node: WorkflowNode): NotChecked {
  const why = `the server describes the class in a way that Genga does not know`;
  const message = `${describeNode(nodeId, node)}: not checked, since ${why}; the server decides.`;
  return { nodeId, classType: node.class_type, message };
}

/**
 * Reports a link to a missing node, whether or not the class declares the input: such a link ends the server's thread
 * that runs prompts (PROTOCOL 10).
 */
export function checkDeadlyLink(value: unknown, { workflow, node }: NodeInContext): Verdict {
  if (!Array.isArray(value) || linkOf(value) === undefined) return {};
  const missing = missingNode(value, workflow);
  return missing === undefined ? {} : (checkUndeclaredLink(value, node, workflow, "") ?? {});
}

interface InputContext extends NodeInContext {
  definition: NodeDefinition;
  live: LiveInputs;
  widgets: ReadonlyMap<string, InputSpec> | undefined;
  /** Returns a hint that names the dotted input which the author of a bare name probably meant, or an empty text. */
  hintAt: (input: string) => string;
}

/** An input whose type cannot be read is of none of the types whose values the server converts. */
const unreadableSpec: InputSpec = ["*"];

function checkInput(context: InputContext, input: string, value: unknown): Verdict {
  const { definition, live, node, workflow, objectInfo } = context;
  if (definition.unreadableInputs.has(input)) {
    const deadly = checkDeadlyLink(wrappedLinkOf(value, unreadableSpec) ?? value, context);
    return deadly.error === undefined
      ? { notChecked: "the server describes the input in a way that Genga does not know" }
      : deadly;
  }
  const spec = specOf({ input: live }, input);
  if (spec === undefined) return checkUndeclared(context, input, value);
  if (Array.isArray(value)) {
    return checkLink(value, { name: input, spec, node }, workflow, objectInfo);
  }
  const deadly = checkDeadlyLink(wrappedLinkOf(value, spec), context);
  if (deadly.error !== undefined) return deadly;
  const literal = isObject(value) && "__value__" in value ? value["__value__"] : value;
  if (isFileList(spec)) return checkUnlistedFile(literal, input, spec, context);
  if (isUploadInput(node.class_type, input, spec)) return checkUpload(literal, spec, context);
  if (spec[0] === "COMFY_DYNAMICCOMBO_V3") return {};
  const isRequired = Object.hasOwn(live.required, input);
  const verdict = checkValue(literal, spec, { isRequired, isOwnClass: isOwnClass(definition) });
  if (isByOptions(verdict) && checksItself(node.class_type, input)) return {};
  return isAnnotatedFile(literal, verdict, definition)
    ? { notChecked: "it names a file in a folder, and the class may look for the file itself" }
    : verdict;
}

/**
 * Whether the value names a file with its folder (`x.png [output]`). Classes that load files look into that folder and
 * not at their list. Genga does not know which classes of node packs do so.
 */
function isAnnotatedFile(value: unknown, { error }: Verdict, definition: NodeDefinition): boolean {
  return (
    error?.code === "value_not_in_list" &&
    typeof value === "string" &&
    / \[(input|output|temp)\]$/.test(value) &&
    !isOwnClass(definition)
  );
}

function checkUndeclared(context: InputContext, input: string, value: unknown): Verdict {
  const { definition, live, node, workflow, widgets } = context;
  const widget = widgets?.get(input);
  if (widget !== undefined && !Array.isArray(value)) return checkFormatWidgets(value, widget);
  const deadly = checkDeadlyLink(value, context);
  if (deadly.error !== undefined) return deadly;
  if (Object.hasOwn(definition.input.hidden, input)) return {};
  const verdict = checkUnknownMember(input, value, live, node);
  if (verdict !== undefined) return verdict;
  const hint = context.hintAt(input);
  const linked = Array.isArray(value) ? checkUndeclaredLink(value, node, workflow, hint) : undefined;
  if (linked !== undefined) return linked;
  const text = isOwnClass(definition)
    ? `${node.class_type} has no such input; it is ignored.`
    : `${node.class_type} declares no such input; it is ignored, unless the node takes inputs that it does not declare.`;
  return { warning: { code: "unknown_input", text: `${text}${hint}`, received: value } };
}

/** Finds the member of a dynamic input that the author of a bare name probably meant (`width` for `mode.width`). */
function hintsAt(live: LiveInputs): (input: string) => string {
  let memberOf: Map<string, string> | undefined;
  return (input) => {
    memberOf ??= new Map(
      Object.keys(live.required)
        .concat(Object.keys(live.optional))
        .reverse()
        .flatMap((name) => [...name.matchAll(/\./g)].map(({ index }) => [name.slice(index + 1), name])),
    );
    const meant = memberOf.get(input);
    return meant === undefined ? "" : ` Did you mean "${meant}"?`;
  };
}

/**
 * Judges an input that names a file to load. The server looks into its input folder. The list that Genga has may be out
 * of date, and it has no subfolders, so only a plain name that is neither in the list nor among the caller's uploads is
 * refused.
 */
function checkUpload(value: unknown, spec: InputSpec, { uploads, node }: NodeInContext): Verdict {
  const list = listOf(spec);
  if (typeof value === "string" && !(value === "" && isFileList(spec))) {
    if (list === undefined || list.includes(value) || uploads?.has(value) === true) return {};
    if (/[/\\]|\]$/.test(value)) return {};
    // The class's list shows one folder, but the class searches all of them; it also accepts an empty name.
    if (node.class_type.startsWith("Load3D")) return { notChecked: "the class looks for the file itself" };
  }
  // The server reads an empty name as the input folder itself, which exists: it accepts the graph, and the node fails.
  const code = value === "" ? "node_fails_at_run_time" : "custom_validation_failed";
  const text =
    typeof value === "string"
      ? `there is no file ${show(value)} in the server's input folder; upload it first.`
      : `${show(value)} is no name of a file.`;
  return { error: { code, text, received: value, accepted: list } };
}

/**
 * Judges an input whose list of files Genga does not keep (`file-lists.ts`): only the server can say whether the file
 * is there. A value that no server accepts as a file name is an error. A name that is not among the uploads gets a
 * warning.
 */
function checkUnlistedFile(value: unknown, input: string, spec: InputSpec, context: InputContext): Verdict {
  const { node, uploads } = context;
  if (checksItself(node.class_type, input)) return {};
  if (!isUploadInput(node.class_type, input, spec)) {
    return typeof value === "string" ? { warning: unlistedFile(value) } : {};
  }
  if (typeof value !== "string" || value === "") return checkUpload(value, spec, context);
  return /[/\\]|\]$/.test(value) || uploads?.has(value) === true ? {} : { warning: unlistedFile(value) };
}

function unlistedFile(value: string): InputProblem {
  const text = `Genga does not know the server's own files; the job fails if ${show(value)} is not one of them.`;
  return { code: "file_not_checked", text, received: value };
}
