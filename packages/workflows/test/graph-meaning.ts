import { type Workflow } from "@genga/comfyui";

/** A graph without titles and with nodes named by class: what it means, whatever its ids are. */
export function meaningOf(workflow: Record<string, unknown>): Record<string, unknown> {
  const nodes = workflow as Workflow;
  const nameOf = (id: string): string => {
    const node = nodes[id]!;
    const text = node.inputs["text"];
    return typeof text === "string" ? `${node.class_type} ${text}` : node.class_type;
  };
  return Object.fromEntries(
    Object.entries(nodes).map(([id, { inputs }]) => [
      nameOf(id),
      Object.fromEntries(
        Object.entries(inputs)
          .filter(([name]) => name !== "filename_prefix")
          .map(([name, value]) => [
            name,
            Array.isArray(value) ? [nameOf(value[0] as string), value[1]] : value,
          ]),
      ),
    ]),
  );
}

/** All nodes of a class, in the order of their ids. */
export function nodesOf(workflow: Workflow, classType: string): Workflow[string][] {
  return Object.values(workflow).filter((node) => node.class_type === classType);
}

/** The node that an input of another is linked to. */
export function sourceOf(
  workflow: Workflow,
  node: Workflow[string] | undefined,
  input: string,
): Workflow[string] {
  const link = node?.inputs[input];
  const source = Array.isArray(link) && typeof link[0] === "string" ? workflow[link[0]] : undefined;
  if (source === undefined) throw new Error(`${input} is not linked.`);
  return source;
}
