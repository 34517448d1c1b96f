import { type Verdict } from "./check-link.ts";
import { type LiveInputs } from "../classes/dynamic-inputs.ts";
import { show } from "../graph/graph-problem.ts";
import { isObject } from "../json/is-object.ts";
import { listOf, type InputSpec, type NodeDefinition } from "../classes/object-info.ts";
import { isUnknownPlaceholder } from "../classes/slot-types.ts";
import { linkOf, type WorkflowNode } from "../graph/workflow.ts";

/** An answer names at most this many choices of a list. */
const choicesMax = 50;

/**
 * Reports each required input that a node lacks, with its type, range and default: graphs made for an older server lack
 * inputs that a newer server requires (PROTOCOL-0.28, section 1).
 */
export function checkRequired(
  definition: NodeDefinition,
  live: LiveInputs,
  node: WorkflowNode,
  add: (input: string, verdict: Verdict) => void,
): void {
  for (const [input, spec] of Object.entries(live.required)) {
    if (Object.hasOwn(node.inputs, input) || definition.unreadableInputs.has(input)) continue;
    if (isUnknownPlaceholder(spec[0])) continue;
    const text = `it is required${expectation(spec)}.${hintAtShape(input, node)}`;
    add(input, { error: { code: "required_input_missing", text, accepted: acceptedBy(spec) } });
  }
}

/** Completes the sentence "it is required" with the type or the choices, the range and the default. */
function expectation(spec: InputSpec): string {
  const accepted = acceptedBy(spec);
  const { min, max, default: preset } = spec[1] ?? {};
  return [
    `; accepted: ${typeof accepted === "string" ? accepted : show(accepted)}`,
    min === undefined ? "" : `, at least ${show(min)}`,
    max === undefined ? "" : `, at most ${show(max)}`,
    preset === undefined || isObject(preset) ? "" : `; its default is ${show(preset)}`,
  ].join("");
}

function acceptedBy(spec: InputSpec): string | readonly unknown[] {
  return listOf(spec)?.slice(0, choicesMax) ?? spec[0];
}

/**
 * A hint for two common mistakes: the members of a dynamic input written as one object or list under the group's name,
 * or written without the group's name.
 */
function hintAtShape(input: string, node: WorkflowNode): string {
  const parts = input.split(".");
  const groups = parts.slice(1).map((_part, index) => parts.slice(0, index + 1).join("."));
  const group = groups.findLast((name) => shapeOf(node.inputs[name]) !== undefined);
  if (group !== undefined) {
    const shape = shapeOf(node.inputs[group]) ?? "";
    return ` The server ignores ${shape} under "${group}": write an input of its own for each member, "${input}": …`;
  }
  const last = parts.at(-1) ?? "";
  const isBare = parts.length > 1 && Object.hasOwn(node.inputs, last);
  return isBare ? ` Write "${input}" instead of "${last}".` : "";
}

function shapeOf(value: unknown): string | undefined {
  if (isObject(value)) return "an object";
  if (!Array.isArray(value)) return undefined;
  return linkOf(value) === undefined ? "a list" : "a link";
}
