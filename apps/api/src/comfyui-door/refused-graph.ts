import { type ObjectInfo } from "@genga/comfyui";

/** What a refusal in the words of a server needs besides the problems. */
export interface RefusedGraph {
  graph: Record<string, unknown>;
  /** The definition of a class, by any server that has it. */
  definitionOf: (classType: string) => ObjectInfo[string] | undefined;
  outputNodes: readonly string[];
  /** The shapes of 0.28, which name missing nodes and cycles. */
  isNewer: boolean;
}
