import {
  ExactNumber,
  isTruthyInPython,
  linkOf,
  liveInputsOf,
  specOf,
  toPythonFloat,
  toPythonInt,
  toPythonText,
  type ObjectInfo,
} from "@genga/comfyui";
import { type DoorRewrite } from "@genga/jobs";
import { isNode } from "./read-prompt.ts";

/**
 * The graph with its values as a server converts them before it runs the graph, and as it shows them then (PROTOCOL 2): `"96"` becomes
 * 96 for an INT, 2 becomes 2.0 for a FLOAT. A server does so for the nodes that some output needs. What it refuses stays as it is.
 * It also unwraps `{"__value__": […]}`, and cannot read what it shows then; so these values stay wrapped in the graph to run, and
 * `unwrapped` has what is shown.
 */
export function coerceInputs(
  graph: Record<string, unknown>,
  outputNodes: readonly string[],
  definitionOf: (classType: string) => ObjectInfo[string] | undefined,
): { graph: Record<string, unknown>; unwrapped: DoorRewrite[] } {
  const needed = neededBy(outputNodes, graph);
  const unwrapped: DoorRewrite[] = [];
  const coercedGraph = Object.fromEntries(
    Object.entries(graph).map(([id, node]) => {
      const definition = isNode(node) && needed.has(id) ? definitionOf(node.class_type) : undefined;
      if (!isNode(node) || definition === undefined) return [id, node];
      const live = liveInputsOf(definition, node.inputs);
      const inputs = Object.entries(node.inputs).map(([name, value]): [string, unknown] => {
        const spec = specOf({ input: live }, name);
        if (spec === undefined || !isWrapped(value)) return [name, coerced(value, spec?.[0])];
        const inner = coerced(value.__value__, spec[0]);
        unwrapped.push({ nodeId: id, input: name, said: inner });
        return [name, { __value__: inner }];
      });
      return [id, { ...node, inputs: Object.fromEntries(inputs) }];
    }),
  );
  return { graph: coercedGraph, unwrapped };
}

function isWrapped(value: unknown): value is { __value__: unknown } {
  return typeof value === "object" && value !== null && "__value__" in value;
}

function neededBy(outputNodes: readonly string[], graph: Record<string, unknown>): Set<string> {
  const [needed, waiting] = [new Set<string>(), [...outputNodes]];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const node = graph[id];
    if (needed.has(id) || !isNode(node)) continue;
    needed.add(id);
    for (const value of Object.values(node.inputs)) {
      const link = linkOf(value);
      if (link !== undefined) waiting.push(link.nodeId);
    }
  }
  return needed;
}

function coerced(value: unknown, type: unknown): unknown {
  const isPlain = value === null || typeof value !== "object" || value instanceof ExactNumber;
  if (!isPlain) return value;
  switch (type) {
    case "INT":
      return value === null ? value : wholeNumber(value);
    case "FLOAT":
      return value === null ? value : fraction(value);
    case "STRING":
      return typeof value === "string" ? value : toPythonText(value);
    case "BOOLEAN":
      return typeof value === "boolean" ? value : isTruthyInPython(value);
    default:
      return value;
  }
}

function wholeNumber(value: unknown): unknown {
  if (typeof value === "number" && Number.isInteger(value)) return value;
  const whole = toPythonInt(value);
  if (whole === undefined) return value;
  const number = Number(whole);
  return Number.isSafeInteger(number) ? number : new ExactNumber(String(whole));
}

function fraction(value: unknown): unknown {
  if (value instanceof ExactNumber && value.isFloat) return value;
  const number = toPythonFloat(value);
  if (number === undefined || !Number.isFinite(number)) return value;
  const text = String(number);
  return /[.e]/.test(text) ? number : new ExactNumber(`${text}.0`);
}
