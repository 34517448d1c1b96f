import { specOf, type ObjectInfo } from "../classes/object-info.ts";
import { type GraphProblem, type GraphProblemCode } from "../graph/graph-problem.ts";
import { type NodeReplacements } from "./node-replacements.ts";
import { type Workflow } from "../graph/workflow.ts";

/** Codes of what a server accepts and cannot finish. */
const foreseenCodes: ReadonlySet<string> = new Set<GraphProblemCode>([
  "context_options_missing",
  "odd_frame_size",
  "node_fails_at_run_time",
]);

/**
 * Types whose values can be written into a graph. The server accepts a written value of any other type, and the node
 * fails.
 */
const writtenTypes: ReadonlySet<unknown> = new Set(["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"]);

/** A server accepts the graph in spite of this error, and cannot run it to the end. */
export function isForeseen({ code, accepted }: GraphProblem): boolean {
  const isWrittenLink =
    code === "invalid_input_type" &&
    typeof accepted === "string" &&
    !accepted.split(",").some((type) => writtenTypes.has(type));
  return foreseenCodes.has(code) || isWrittenLink;
}

/**
 * Those of the errors for which a server refuses the graph. The others it notices only in the run.
 * @param server a newer one, which also checks the choices of newer lists, can be told by its replacements (PROTOCOL-0.28 1)
 */
export function noticedByServer(
  errors: readonly GraphProblem[],
  workflow: Workflow,
  { objectInfo, replacements = {} }: { objectInfo: ObjectInfo; replacements?: NodeReplacements },
): GraphProblem[] {
  const isNewer = Object.keys(replacements).length > 0;
  return errors.filter((error) => {
    const { code, nodeId = "", input = "" } = error;
    if (isForeseen(error)) return false;
    if (code !== "value_not_in_list" || isNewer) return true;
    const definition = objectInfo[workflow[nodeId]?.class_type ?? ""];
    return definition === undefined || specOf(definition, input)?.[0] !== "COMBO";
  });
}
