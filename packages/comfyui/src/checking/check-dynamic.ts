import { type Verdict } from "./check-link.ts";
import { dynamicInputOf, type DynamicInput, type LiveInputs } from "../classes/dynamic-inputs.ts";
import { show, type InputProblem } from "../graph/graph-problem.ts";
import { isObject } from "../graph/graph-shape.ts";
import { acceptedChoices } from "./input-values.ts";
import { linkOf, type WorkflowNode } from "../graph/workflow.ts";

/**
 * Dynamic combos of which no option is chosen. The server accepts them all the same. Of a required one the node cannot
 * be called without it; of an optional one, and of one within another, it is called without that choice (PROTOCOL-0.28,
 * section 2 and recording 43b).
 */
export function checkDynamicInputs(
  live: LiveInputs,
  node: WorkflowNode,
  add: (input: string, verdict: Verdict) => void,
): void {
  for (const group of live.dynamic) {
    if (group.kind !== "combo" || group.isChosen) continue;
    const isNeeded = isNeededByCall(group);
    if (Object.hasOwn(node.inputs, group.name)) {
      add(group.name, wrongChoice(node.inputs[group.name], group, isNeeded));
    } else if (group.isRequired) {
      const problem = missingChoice(group, isNeeded);
      add(group.name, isNeeded ? { error: problem } : { warning: problem });
    }
  }
}

/** Whether the node cannot be called without this input: it is an argument of its function, not a part of one. */
function isNeededByCall({ isRequired, name }: DynamicInput): boolean {
  return isRequired && !name.includes(".");
}

function isRefusedAlready(group: DynamicInput): boolean {
  return group.kind === "combo" && !group.isChosen && isNeededByCall(group);
}

function missingChoice(group: DynamicInput, isNeeded: boolean): InputProblem {
  const end = isNeeded ? "without it the node cannot run" : "the node runs without it, and may fail";
  const text = `one of ${group.choices.slice(0, 10).map(show).join(", ")} must be chosen; ${end}.`;
  return { code: isNeeded ? "node_fails_at_run_time" : "choice_missing", text, accepted: group.choices };
}

function wrongChoice(value: unknown, group: DynamicInput, isNeeded: boolean): Verdict {
  const text = `${show(value)} is ${explain(value)}; ${acceptedChoices(value, group.choices)}`;
  const problem = { text, received: value, accepted: group.choices };
  // A link is handed to the node, which does not know what to do with it.
  if (isNeeded || linkOf(value) !== undefined) {
    return { error: { ...problem, code: "node_fails_at_run_time" } };
  }
  return {
    warning: { ...problem, code: "choice_missing", text: `${text} The node runs without it, and may fail.` },
  };
}

function explain(value: unknown): string {
  if (Array.isArray(value)) return "not one of its choices, and a choice must be written, not linked";
  if (isObject(value))
    return "not one of its choices, which are written plainly, and their members beside it";
  return "not one of its choices";
}

/**
 * A name of the graph that the class does not have, and that looks like a member of one of its dynamic inputs: one beyond
 * the last, misspelt, of an option that is not chosen, or all members at once under the name of the group. The server
 * drops written values, and hands links to the node, which then cannot be called. `undefined` for other names.
 */
export function checkStranger(
  input: string,
  value: unknown,
  live: LiveInputs,
  node: WorkflowNode,
): Verdict | undefined {
  const group = dynamicInputOf(input, live.dynamic);
  if (group === undefined) return undefined;
  if (group.kind === "unknown") {
    return { notChecked: `${group.name} is a kind of input that Genga does not know` };
  }
  if (input === group.name) return checkGroupName(value, group, node);
  const members =
    group.members.length === 0 ? "" : ` It takes ${group.members.map(show).join(", ")} and so on.`;
  const unchosen = group.kind === "combo" ? " for the option that is chosen" : "";
  if (linkOf(value) !== undefined) {
    if (isRefusedAlready(group)) return {};
    const text = `${node.class_type} has no such input${unchosen}; with a link on it the node cannot run.${members}`;
    return { error: { code: "node_fails_at_run_time", text, received: value } };
  }
  const text = `${node.class_type} has no such input${unchosen}; it is ignored.${members}`;
  return { warning: { code: "unknown_input", text, received: value } };
}

/** A value under the name of the group itself; a combo's own value is judged with the combo. */
function checkGroupName(value: unknown, group: DynamicInput, node: WorkflowNode): Verdict {
  if (group.kind === "combo") return {};
  const example = isObject(value) ? Object.keys(value)[0] : undefined;
  const member = example === undefined ? group.members[0] : `${group.name}.${example}`;
  const how = `its members are inputs of their own${member === undefined ? "" : `, ${show(member)}: …`}`;
  // Without members, the node would get what is linked here in place of the group.
  const hasMembers = Object.keys(node.inputs).some((name) => name.startsWith(`${group.name}.`));
  if (linkOf(value) !== undefined && !hasMembers) {
    const text = `the node cannot run with a link here; ${how}`;
    return { error: { code: "node_fails_at_run_time", text, received: value } };
  }
  return { warning: { code: "unknown_input", text: `it is ignored; ${how}`, received: value } };
}
