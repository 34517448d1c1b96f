import { numberOf } from "../json/exact-json.ts";
import { isObject } from "../json/is-object.ts";
import { howToExport, looksLikeEditorFormat } from "./graph-formats.ts";
import { show, type GraphProblem } from "./graph-problem.ts";
import { type Workflow } from "./workflow.ts";

/** A graph with more nodes is refused. */
export const graphNodesMax = 5_000;
/** For one node. The largest classes have a few hundred inputs, with all members of their dynamic inputs. */
const inputsMax = 10_000;
/** In characters of keys and text; the server itself takes 100 MiB. */
const sizeMax = 16 * 1024 * 1024;
/** The server's JSON parser fails at about a thousand levels. */
const depthMax = 100;

export type GraphShape =
  { workflow: Workflow; problems: [] } | { workflow: undefined; problems: GraphProblem[] };

/**
 * Checks whether a value has the shape of a graph; this needs no definitions. Above all it refuses the bodies that a
 * server accepts and then crashes on (PROTOCOL 10): each node must be `{class_type: string, inputs: object}`, also
 * those that no output needs.
 */
export function checkShape(value: unknown): GraphShape {
  if (!isObject(value)) {
    return refuse([
      {
        code: "invalid_prompt",
        message: "A workflow is an object: node id → {class_type, inputs}.",
        received: typeof value,
      },
    ]);
  }
  if (looksLikeEditorFormat(value)) {
    return refuse([
      {
        code: "editor_format",
        message: `The workflow is in the editor's own format, which no server runs. ${howToExport}`,
      },
    ]);
  }
  const nodes = Object.entries(value);
  if (nodes.length === 0) {
    return refuse([{ code: "prompt_no_outputs", message: "The workflow has no nodes." }]);
  }
  if (nodes.length > graphNodesMax) {
    return refuse([
      {
        code: "graph_too_large",
        message: `The workflow has ${nodes.length} nodes; at most ${graphNodesMax} are accepted.`,
        received: nodes.length,
        accepted: { max: graphNodesMax },
      },
    ]);
  }
  if (sizeOf(value, 0) > sizeMax) {
    return refuse([
      {
        code: "graph_too_large",
        message: `The workflow is larger than ${sizeMax} characters, or nested deeper than ${depthMax} levels.`,
      },
    ]);
  }
  const problems = nodes.flatMap(([nodeId, node]) => [
    ...checkNode(nodeId, node),
    ...checkNumbers(nodeId, node),
  ]);
  // The loop above has checked every node; parsing the graph with zod would also copy it.
  return problems.length > 0 ? refuse(problems) : { workflow: value as Workflow, problems: [] };
}

function refuse(problems: GraphProblem[]): GraphShape {
  return { workflow: undefined, problems };
}

function checkNode(nodeId: string, node: unknown): GraphProblem[] {
  if (!isObject(node)) {
    return [
      {
        code: "node_not_object",
        nodeId,
        message: `Node ${nodeId} is not an object {class_type, inputs}.`,
        received: typeof node,
      },
    ];
  }
  const { class_type: classType, inputs } = node;
  if (typeof classType !== "string" || classType === "") {
    return [
      {
        code: "missing_class_type",
        nodeId,
        message: `Node ${nodeId} has no class_type (a text naming its class).`,
      },
    ];
  }
  if (!isObject(inputs)) {
    return [
      {
        code: "missing_inputs",
        nodeId,
        classType,
        message: `Node ${nodeId} (${classType}) has no inputs; it needs an object, be it empty.`,
      },
    ];
  }
  const count = Object.keys(inputs).length;
  if (count <= inputsMax) return [];
  return [
    {
      code: "graph_too_large",
      nodeId,
      classType,
      message: `Node ${nodeId} has ${count} inputs; at most ${inputsMax} are accepted.`,
      received: count,
      accepted: { max: inputsMax },
    },
  ];
}

/**
 * Numbers beyond the range of a double are infinite in Python, and a prompt with one makes `/queue` and `/history` of
 * its server unreadable for all clients (PROTOCOL-0.28, section 6).
 */
function checkNumbers(nodeId: string, node: unknown): GraphProblem[] {
  const found = infiniteIn(node);
  if (found === undefined) return [];
  const message = `Node ${nodeId} has a number beyond the range of a double, ${show(found)}; servers read it as infinite.`;
  return [{ code: "number_not_finite", nodeId, message, received: found }];
}

function infiniteIn(value: unknown): unknown {
  const number = numberOf(value);
  if (number !== undefined) return Number.isFinite(number) ? undefined : value;
  if (typeof value !== "object" || value === null) return undefined;
  for (const child of Object.values(value)) {
    const found = infiniteIn(child);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Roughly the length as JSON; infinite where it is nested too deep. Stops counting soon after the limit. */
function sizeOf(value: unknown, depth: number): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 5;
  if (depth > depthMax) return Number.POSITIVE_INFINITY;
  let size = 2;
  for (const [key, child] of Object.entries(value)) {
    size += key.length + 3 + sizeOf(child, depth + 1);
    if (size > sizeMax) break;
  }
  return size;
}
