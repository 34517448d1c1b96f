import { type Verdict } from "./check-link.ts";
import { dynamicInputOf, type DynamicInput, type LiveInputs } from "../classes/dynamic-inputs.ts";
import { show, type InputProblem } from "../graph/graph-problem.ts";
import { isObject } from "../json/is-object.ts";
import { acceptedChoices } from "./input-values.ts";
import { linkOf, type WorkflowNode } from "../graph/workflow.ts";

/**
 * Reports each dynamic combo for which the graph chooses no option. The server accepts such a graph. If the combo is a
 * required input of the node, the server then cannot call the node. If the combo is optional, or a member of another
 * combo, the server calls the node without that choice (PROTOCOL-0.28, section 2 and recording 43b).
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

/**
 * Whether the server cannot call the node without this input: true of a required argument of the node's function, false
 * of a member of such an argument.
 */
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
  // The server hands a link to the node, and the node fails because a link is no choice.
  if (isNeeded || linkOf(value) !== undefined) {
    return { error: { ...problem, code: "node_fails_at_run_time" } };
  }
  return {
    warning: { ...problem, code: "choice_missing", text: `${text} The node runs without it, and may fail.` },
  };
}

function explain(value: unknown): string {
  if (Array.isArray(value)) return "not one of its choices; a choice must be written as a text, not linked";
  if (isObject(value))
    return "not one of its choices; write the choice as a text, and its members as inputs of their own";
  return "not one of its choices";
}

/**
 * Judges an input that the class does not have, but whose name looks like a member of one of the class's dynamic
 * inputs: a member beyond the last one, a misspelt member, a member of an option that is not chosen, or all members at
 * once under the name of the group. The server drops written values, and hands links to the node, which then cannot be
 * called. Returns `undefined` for other names.
 */
export function checkUnknownMember(
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
  // If the graph gives no members of this group, the server hands the linked value to the node in place of the group.
  const hasMembers = Object.keys(node.inputs).some((name) => name.startsWith(`${group.name}.`));
  if (linkOf(value) !== undefined && !hasMembers) {
    const text = `the node cannot run with a link here; ${how}`;
    return { error: { code: "node_fails_at_run_time", text, received: value } };
  }
  return { warning: { code: "unknown_input", text: `it is ignored; ${how}`, received: value } };
}
