import { linkOf, nodeTitleOf, type ObjectInfo, type Workflow } from "@genga/comfyui";

export type OutputNode = [id: string, node: Workflow[string]];

/**
 * The output nodes of a graph.
 * @param objectInfo says which nodes are output nodes; without it, nodes whose results no other node uses count
 */
export function outputNodesOf(workflow: Workflow, objectInfo: ObjectInfo | undefined): OutputNode[] {
  const nodes = Object.entries(workflow);
  if (objectInfo !== undefined) {
    return nodes.filter(([, { class_type: classType }]) =>
      Object.hasOwn(objectInfo, classType) ? objectInfo[classType]?.isOutputNode : false,
    );
  }
  const taken = new Set(
    nodes.flatMap(([, { inputs }]) => Object.values(inputs).map((value) => linkOf(value)?.nodeId)),
  );
  return nodes.filter(([id]) => !taken.has(id));
}

/** The names of the nodes, at most three, since a graph may preview a hundred pictures. */
export function namesOf(nodes: readonly OutputNode[]): string {
  const shown = nodes.slice(0, 3).map(([id, node]) => {
    const title = nodeTitleOf(node);
    return title === node.class_type ? `node ${id} (${title})` : `node ${id} "${title}" (${node.class_type})`;
  });
  const more = nodes.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}
