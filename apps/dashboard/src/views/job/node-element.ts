/** The id of the element that shows a node. Node ids are any text. */
export function nodeElementId(nodeId: string): string {
  return `node-${encodeURIComponent(nodeId)}`;
}
