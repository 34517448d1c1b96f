import { isObject } from "../json/is-object.ts";
import { z } from "zod";

import { ExactNumber, parseExactJson } from "../json/exact-json.ts";

/** One node of an API-format graph. A link is an input of the form `[nodeId, slot]`. */
export interface WorkflowNode {
  class_type: string;
  inputs: Record<string, unknown>;
  /** The editor's own data about a node. The server ignores it, so it may be any value. */
  _meta?: { title?: unknown } | null | undefined;
}

/** A ComfyUI API-format graph: node id → node. `POST /prompt` takes it as `prompt`. */
export type Workflow = Record<string, WorkflowNode>;

/** Checks only the shape. Whether a server can run the graph is checked by `validateGraph`. */
export const workflowSchema: z.ZodType<Workflow> = z.record(
  z.string(),
  z.looseObject({
    class_type: z.string(),
    inputs: z.record(z.string(), z.unknown()),
    _meta: z.looseObject({ title: z.unknown().optional() }).nullish().catch(undefined),
  }),
);

/**
 * Reads the stored text of a graph that was accepted earlier. Numbers that JavaScript would change are `ExactNumber`s.
 * The nodes are checked but not copied. @throws TypeError if the text is not a graph
 */
export function parseWorkflow(text: string): Workflow {
  const graph = parseExactJson(text);
  if (!isWorkflow(graph)) throw new TypeError("The stored text is not a workflow graph.");
  return graph;
}

function isWorkflow(value: unknown): value is Workflow {
  return isObject(value) && Object.values(value).every(isNode);
}

function isNode(value: unknown): value is WorkflowNode {
  return isObject(value) && typeof value["class_type"] === "string" && isObject(value["inputs"]);
}

/** A reference to another node's output. */
export interface Link {
  nodeId: string;
  slot: number;
}

/**
 * Reads an input value as a link, as the server does while it runs a graph: a list of two elements, a text and a number
 * (in Python a truth value is a number). While the server *validates*, it treats every list in a declared input as a
 * link, and refuses lists of another shape (PROTOCOL 2, `bad_linked_input`).
 */
export function linkOf(value: unknown): Link | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [nodeId, slot] = value as unknown[];
  const number = slot instanceof ExactNumber ? slot.toNumber() : slot;
  if (typeof nodeId !== "string" || (typeof number !== "number" && typeof number !== "boolean"))
    return undefined;
  return { nodeId, slot: Number(number) };
}

/** The name of a node for people: the title that its author gave it, or its class. */
export function nodeTitleOf(node: WorkflowNode): string {
  const title = node._meta?.title;
  return typeof title === "string" && title.trim() !== "" ? title.trim() : node.class_type;
}
