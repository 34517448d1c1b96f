import { definitionOf } from "./check-link.ts";
import { liveInputsOf } from "../classes/dynamic-inputs.ts";
import { specOf, type InputSpec, type ObjectInfo } from "../classes/object-info.ts";
import { isObject } from "../json/is-object.ts";
import { linkOf, type Workflow, type WorkflowNode } from "../graph/workflow.ts";

/** The server converts a value of these types, so that a list becomes a text or a truth value, or is refused. */
const convertedTypes: ReadonlySet<unknown> = new Set(["INT", "FLOAT", "STRING", "BOOLEAN"]);

/**
 * The link that a server runs for `{"__value__": [node id, slot]}`. While it validates a declared input, it replaces the
 * wrapped value by the bare one and does not check it as a link; later it takes every value that looks like a link for
 * one (PROTOCOL-0.28, section 2). `undefined` for other values, and on inputs of which the server reads no such link. It
 * follows a lazy input only if the node asks for it, and then a broken link fails that node alone.
 */
export function wrappedLinkOf(value: unknown, [type, options]: InputSpec): unknown[] | undefined {
  if (!isObject(value) || convertedTypes.has(type) || Boolean(options?.["lazy"])) return undefined;
  const inner = value["__value__"];
  return Array.isArray(inner) && linkOf(inner) !== undefined ? inner : undefined;
}

/** The graph as the server runs it, once it has validated these nodes: with bare links in place of wrapped ones. */
export function withoutWrappedLinks(
  workflow: Workflow,
  validated: ReadonlySet<string>,
  objectInfo: ObjectInfo,
): Workflow {
  const changed: Workflow = {};
  for (const nodeId of validated) {
    const node = workflow[nodeId];
    const links = node === undefined ? [] : wrappedLinksOf(node, objectInfo);
    if (node === undefined || links.length === 0) continue;
    changed[nodeId] = { ...node, inputs: { ...node.inputs, ...Object.fromEntries(links) } };
  }
  return Object.keys(changed).length === 0 ? workflow : { ...workflow, ...changed };
}

function wrappedLinksOf(node: WorkflowNode, objectInfo: ObjectInfo): [input: string, link: unknown[]][] {
  const wrapped = Object.entries(node.inputs).filter(([, value]) => isObject(value) && "__value__" in value);
  const definition = wrapped.length === 0 ? undefined : definitionOf(node, objectInfo);
  if (definition?.areInputsKnown !== true) return [];
  const live = liveInputsOf(definition, node.inputs);
  return wrapped.flatMap(([input, value]): [string, unknown[]][] => {
    const spec = specOf({ input: live }, input);
    const link = spec === undefined ? undefined : wrappedLinkOf(value, spec);
    return link === undefined ? [] : [[input, link]];
  });
}
