import { foreseeableFailures } from "./foreseeable-failures.ts";
import { findCycle, neededBy, sinksOf } from "./graph-links.ts";
import {
  inputProblem,
  nodeProblem,
  show,
  type GraphProblem,
  type GraphValidation,
  type InputProblem,
} from "./graph-problem.ts";
import { checkShape, isObject } from "./graph-shape.ts";
import { checkValue } from "./input-values.ts";
import {
  isUploadInput,
  listOf,
  specOf,
  type InputSpec,
  type NodeDefinition,
  type ObjectInfo,
} from "./object-info.ts";
import { checkFormatWidgets, formatWidgetsOf } from "./video-combine-widgets.ts";
import { linkOf, type Workflow, type WorkflowNode } from "./workflow.ts";

export interface ValidateGraphOptions {
  /** Names of files that will be on the server by the time the graph runs, though its list does not have them yet. */
  uploads?: ReadonlySet<string>;
}

/**
 * Judges a graph the way the server would, before it is queued: errors for what the server refuses, for what would
 * harm it (PROTOCOL 10), and for what it accepts though it cannot end well; warnings for what it silently converts.
 *
 * Without object info only the shape is judged: nodes, links, cycles. With it, as on the server, only nodes that some
 * output needs are judged in full. Pure, and linear in the graph: it neither copies nor walks the object info.
 */
export function validateGraph(
  value: unknown,
  objectInfo?: ObjectInfo,
  options: ValidateGraphOptions = {},
): GraphValidation {
  const { workflow, problems } = checkShape(value);
  if (workflow === undefined) return { errors: problems, warnings: [] };

  const missing = objectInfo === undefined ? [] : missingClasses(workflow, objectInfo);
  const outputs =
    objectInfo === undefined
      ? sinksOf(workflow)
      : Object.keys(workflow).filter((id) => definitionOf(workflow[id], objectInfo)?.isOutputNode);
  // A class that the server lacks may well be the output that the others are for.
  const roots = missing.length > 0 ? [...outputs, ...sinksOf(workflow)] : outputs;
  const needed = neededBy(workflow, roots);
  const result: GraphValidation = { errors: missing, warnings: [] };
  if (roots.length === 0) result.errors.push(noOutputs(workflow, objectInfo));

  for (const [nodeId, node] of Object.entries(workflow)) {
    if (!needed.has(nodeId)) {
      if (roots.length > 0)
        result.warnings.push(
          nodeProblem(nodeId, node, "unneeded_node", "no output needs it; it will not run."),
        );
      continue;
    }
    const definition = objectInfo === undefined ? undefined : definitionOf(node, objectInfo);
    checkNode({ workflow, nodeId, node, definition, objectInfo, options }, result);
  }
  const cycle = findCycle(workflow, needed);
  if (cycle !== undefined) result.errors.push(cycleProblem(workflow, cycle));
  // What fails later is only worth knowing of a graph that is sound so far.
  if (objectInfo !== undefined && result.errors.length === 0) {
    const foreseen = foreseeableFailures(workflow, needed, objectInfo);
    result.errors.push(...foreseen.errors);
    result.warnings.push(...foreseen.warnings);
  }
  return result;
}

interface NodeInContext {
  workflow: Workflow;
  nodeId: string;
  node: WorkflowNode;
  /** Absent without object info, and for a class that the server lacks. */
  definition: NodeDefinition | undefined;
  objectInfo: ObjectInfo | undefined;
  options: ValidateGraphOptions;
}

function checkNode(context: NodeInContext, result: GraphValidation): void {
  const { nodeId, node, definition } = context;
  for (const input of Object.keys(definition?.input.required ?? {})) {
    if (Object.hasOwn(node.inputs, input)) continue;
    result.errors.push(
      inputProblem(nodeId, node, input, {
        code: "required_input_missing",
        text: `it is required${expectation(definition?.input.required[input])}.`,
        accepted: acceptedBy(definition?.input.required[input]),
      }),
    );
  }
  const widgets = definition === undefined ? undefined : formatWidgetsOf(node, definition);
  for (const [input, value] of Object.entries(node.inputs)) {
    const { error, warning } = checkInput(context, input, value, widgets);
    if (error !== undefined) result.errors.push(inputProblem(nodeId, node, input, error));
    if (warning !== undefined) result.warnings.push(inputProblem(nodeId, node, input, warning));
  }
}

interface Verdict {
  error?: InputProblem;
  warning?: InputProblem;
}

function checkInput(
  context: NodeInContext,
  input: string,
  value: unknown,
  widgets: ReadonlyMap<string, InputSpec> | undefined,
): Verdict {
  const { definition, node, options } = context;
  const spec = definition === undefined ? undefined : specOf(definition, input);
  if (Array.isArray(value)) {
    // The server ignores inputs that the class does not have, links among them.
    return definition !== undefined && spec === undefined
      ? unknownInput(context, input, value, widgets)
      : checkLink(context, value, spec);
  }
  if (definition === undefined) return {};
  if (spec === undefined) return unknownInput(context, input, value, widgets);
  const literal = isObject(value) && "__value__" in value ? value["__value__"] : value;
  if (isUploadInput(node.class_type, input, spec)) return checkUpload(literal, spec, options);
  return checkValue(literal, spec, Object.hasOwn(definition.input.required, input));
}

function unknownInput(
  { definition, node }: NodeInContext,
  input: string,
  value: unknown,
  widgets: ReadonlyMap<string, InputSpec> | undefined,
): Verdict {
  if (definition !== undefined && Object.hasOwn(definition.input.hidden, input)) return {};
  const widget = widgets?.get(input);
  if (widget !== undefined) return checkFormatWidgets(value, widget);
  return {
    warning: {
      code: "unknown_input",
      text: `${node.class_type} has no such input; it is ignored.`,
      received: value,
    },
  };
}

/** The server takes every list for a link, and for nothing else (PROTOCOL 2). */
function checkLink(
  { workflow, objectInfo }: NodeInContext,
  value: unknown[],
  spec: InputSpec | undefined,
): Verdict {
  const [nodeId, slot] = value;
  if (value.length !== 2) {
    const text = `${show(value)} is no link; a link is a list of two, [node id, slot].`;
    return { error: { code: "bad_linked_input", text, received: value, accepted: "[node id, slot]" } };
  }
  const target = typeof nodeId === "string" && Object.hasOwn(workflow, nodeId) ? workflow[nodeId] : undefined;
  if (typeof nodeId !== "string" || target === undefined) {
    const hint = typeof nodeId === "number" ? " (a node id is a text, not a number)" : "";
    const text = `the link ${show(value)} names a node that is not there${hint}.`;
    return { error: { code: "linked_node_missing", text, received: value } };
  }
  if (!Number.isInteger(slot)) {
    const text = `the link ${show(value)} has no whole number for its slot.`;
    return { error: { code: "linked_slot_missing", text, received: value } };
  }
  const source = objectInfo === undefined ? undefined : definitionOf(target, objectInfo);
  return source === undefined ? {} : checkSlot(value, target, source, spec);
}

function checkSlot(
  value: unknown[],
  target: WorkflowNode,
  source: NodeDefinition,
  spec: InputSpec | undefined,
): Verdict {
  const slot = Number(value[1]);
  // As a Python list has it: −1 is the last one.
  const received = source.output.at(slot);
  if (received === undefined) {
    const text = `the link ${show(value)} names slot ${slot}, but ${target.class_type} has ${source.output.length} (from 0).`;
    return { error: { code: "linked_slot_missing", text, received: value } };
  }
  const expected = spec?.[0];
  if (expected !== undefined && !canConnect(received, expected)) {
    const text = `the link ${show(value)} brings ${nameOf(received)}, but the input takes ${nameOf(expected)}.`;
    return {
      error: { code: "return_type_mismatch", text, received: nameOf(received), accepted: nameOf(expected) },
    };
  }
  if (slot >= 0) return {};
  const text = `slot ${slot} counts from the end; it is slot ${source.output.length + slot}.`;
  return { warning: { code: "value_converted", text, received: value } };
}

type SlotType = string | readonly unknown[];

/** Types match by name; a name may be a union (`INT,FLOAT`), and `*` takes everything. */
function canConnect(received: SlotType, expected: SlotType): boolean {
  if (typeof received !== "string" || typeof expected !== "string") {
    // A list of choices: only a node that gives the same choices may be linked, or one that gives anything.
    return received === "*" || expected === "*" || JSON.stringify(received) === JSON.stringify(expected);
  }
  if (received === expected || received === "*" || expected === "*") return true;
  const expectedTypes = expected.split(",").map((type) => type.trim());
  return received.split(",").some((type) => expectedTypes.includes(type.trim()) || type.trim() === "*");
}

function nameOf(type: SlotType): string {
  return typeof type === "string" ? type : "a choice from a list";
}

/**
 * Files to load: the server looks at its input folder, of which the list is a view from the last refresh, and without
 * subfolders. So only a plain name that neither the list nor the caller knows is refused.
 */
function checkUpload(value: unknown, spec: InputSpec, { uploads }: ValidateGraphOptions): Verdict {
  const list = listOf(spec);
  if (typeof value !== "string" || list === undefined || list.includes(value) || uploads?.has(value) === true)
    return {};
  if (/[/\\]|\]$/.test(value)) return {};
  const text = `there is no file ${show(value)} in the server's input folder; upload it first.`;
  return { error: { code: "custom_validation_failed", text, received: value, accepted: list } };
}

function missingClasses(workflow: Workflow, objectInfo: ObjectInfo): GraphProblem[] {
  return Object.entries(workflow).flatMap(([nodeId, node]) =>
    definitionOf(node, objectInfo) === undefined
      ? {
          ...nodeProblem(
            nodeId,
            node,
            "missing_node_type",
            `the server has no node class ${node.class_type}.`,
          ),
          received: node.class_type,
        }
      : [],
  );
}

function definitionOf(node: WorkflowNode | undefined, objectInfo: ObjectInfo): NodeDefinition | undefined {
  return node !== undefined && Object.hasOwn(objectInfo, node.class_type)
    ? objectInfo[node.class_type]
    : undefined;
}

function noOutputs(workflow: Workflow, objectInfo: ObjectInfo | undefined): GraphProblem {
  const cycle = objectInfo === undefined ? findCycle(workflow, new Set(Object.keys(workflow))) : undefined;
  if (cycle !== undefined) return cycleProblem(workflow, cycle);
  return {
    code: "prompt_no_outputs",
    message: "The workflow has no output node (for example SaveImage), so nothing would run.",
  };
}

function cycleProblem(workflow: Workflow, cycle: string[]): GraphProblem {
  const nodeId = cycle[0] ?? "";
  const node = workflow[nodeId] ?? { class_type: "", inputs: {} };
  const path = cycle.join(" ← ");
  const inCycle = Object.entries(node.inputs).find(([, value]) => linkOf(value)?.nodeId === cycle[1]);
  const text = `its links lead back to it: ${path}.`;
  return inCycle === undefined
    ? nodeProblem(nodeId, node, "dependency_cycle", text)
    : inputProblem(nodeId, node, inCycle[0], { code: "dependency_cycle", text, received: inCycle[1] });
}

function expectation(spec: InputSpec | undefined): string {
  const accepted = acceptedBy(spec);
  return accepted === undefined ? "" : `; accepted: ${show(accepted)}`;
}

function acceptedBy(spec: InputSpec | undefined): unknown {
  if (spec === undefined) return undefined;
  return listOf(spec)?.slice(0, 50) ?? spec[0];
}
