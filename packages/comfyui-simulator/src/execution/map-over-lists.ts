import { type NodeClass } from "../nodes/node-catalog.ts";
import { NodeException, type NodeResult } from "../nodes/node-run.ts";
import { type NodeValue } from "../nodes/node-values.ts";
import { type PythonJson } from "../python/python-json.ts";
import { type NodeInputs } from "./node-inputs.ts";

/**
 * The calls that one run of a node consists of: one call for each item of the longest list, or one call with whole
 * lists.
 */
export function callsOf(nodeClass: NodeClass, { lists }: NodeInputs): ReadonlyMap<string, NodeValue>[] {
  if (nodeClass.isInputList) {
    return [new Map([...lists].map(([name, items]): [string, NodeValue] => [name, { kind: "list", items }]))];
  }
  const count = Math.max(0, ...[...lists.values()].map((items) => items.length));
  // If all lists are empty, or there are no inputs, there is one call without inputs.
  if (count === 0) return [new Map()];
  return Array.from(
    { length: count },
    (_, index) => new Map([...lists].map(([name, items]) => [name, itemAt(items, index)])),
  );
}

function itemAt(items: readonly NodeValue[], index: number): NodeValue {
  const item = items[index] ?? items.at(-1);
  if (item === undefined) throw new NodeException("IndexError", "list index out of range");
  return item;
}

/** The value that keeps a call from being made, if one of its inputs is such a value. */
export function blockerIn(
  inputs: ReadonlyMap<string, NodeValue>,
): Extract<NodeValue, { kind: "blocked" }> | undefined {
  for (const value of inputs.values()) {
    for (const item of value.kind === "list" ? value.items : [value]) {
      if (item.kind === "blocked") return item;
    }
  }
  return undefined;
}

/** Each output as a list over all calls; the items of outputs that are lists come one after another. */
export function mergeOutputs(
  nodeClass: NodeClass,
  results: readonly (readonly NodeValue[])[],
): NodeValue[][] {
  const slots = Math.max(0, ...results.map((outputs) => outputs.length));
  return Array.from({ length: slots }, (_, slot) =>
    results.flatMap((outputs) => {
      const value = outputs[slot];
      if (value === undefined) return [];
      const isList = nodeClass.outputIsList[slot] === true && value.kind === "list";
      return isList ? value.items : [value];
    }),
  );
}

/** The UI outputs of all calls, joined key by key; undefined if no call had one. */
export function mergeUi(results: readonly NodeResult[]): PythonJson | undefined {
  const shown = results.flatMap(({ ui }) => (ui === undefined ? [] : [ui]));
  const [first] = shown;
  if (first === undefined || shown.length === 1) return first;
  return Object.fromEntries(
    Object.keys(first).map((key) => [key, shown.flatMap((ui): readonly PythonJson[] => listOf(ui[key]))]),
  );
}

function listOf(value: PythonJson | undefined): readonly PythonJson[] {
  return isList(value) ? value : [];
}

function isList(value: PythonJson | undefined): value is readonly PythonJson[] {
  return Array.isArray(value);
}
