import { validateGraph } from "../checking/graph-validation.ts";
import { noticedByServer } from "./server-notice.ts";
import { wrapLists } from "./list-values.ts";
import { nodeReplacementsSchema, replaceNodes, type NodeReplacements } from "./node-replacements.ts";
import { objectInfoSchema, type ObjectInfo } from "../classes/object-info.ts";
import { type Workflow } from "../graph/workflow.ts";

/** A server's definitions: the node classes that it has, and the replacements for classes that it no longer has. */
export interface ServerDefinitions {
  objectInfo: ObjectInfo;
  replacements: NodeReplacements;
}

/**
 * Reads the stored answers of `GET /object_info` and `GET /node_replacements`. @throws ZodError the first is no object
 */
export function parseDefinitions(stored: { objectInfo: unknown; replacements: unknown }): ServerDefinitions {
  return {
    objectInfo: objectInfoSchema.parse(stored.objectInfo),
    replacements: nodeReplacementsSchema.parse(stored.replacements),
  };
}

/** Whether a server with these definitions takes the graph as it is, although the run must fail. */
export function takes(workflow: Workflow, definitions: ServerDefinitions): boolean {
  const { objectInfo, replacements } = definitions;
  const graph = replaceNodes(workflow, replacements, objectInfo);
  const { errors } = validateGraph(graph.workflow, objectInfo);
  return graph.missing.length === 0 && noticedByServer(errors, graph.workflow, definitions).length === 0;
}

/**
 * Whether a server with these definitions can run the graph after its lists are wrapped, as far as the definitions
 * show.
 */
export function canRun(workflow: Workflow, { objectInfo, replacements }: ServerDefinitions): boolean {
  const graph = replaceNodes(wrapLists(workflow, objectInfo).workflow, replacements, objectInfo);
  return graph.missing.length === 0 && validateGraph(graph.workflow, objectInfo).errors.length === 0;
}
