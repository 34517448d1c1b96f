import { type ExactNumber, type Workflow } from "@genga/comfyui";
import { type Json } from "@genga/jobs";

/** A link: the node's id and the number of its output slot. */
export type Output = [nodeId: string, slot: number];

/**
 * A graph, and the parameter from which each of its inputs came, so that a refusal can name the parameter that the
 * client sent.
 */
export interface BuiltGraph {
  workflow: Workflow;
  /**
   * The parameter from which an input came, or the one that chose the node's class (`class_type`); `undefined` where
   * the builder chose the value.
   */
  parameterOf(nodeId: string, input: string): string | undefined;
}

/** Builds a graph node by node; ids are 1, 2, 3, … in the order of adding. */
export class GraphBuilder {
  readonly #workflow: Workflow = {};
  readonly #parameters = new Map<string, string>();
  #count = 0;

  /**
   * Adds a node and returns its output slots by number.
   * @param title the node's name for people, shown with the progress, for example "Sample"
   * @param parameters input → the parameter whose value it carries; `class_type` → the one that chose this class
   */
  add(
    classType: string,
    title: string,
    inputs: Record<string, Json | ExactNumber>,
    parameters: Record<string, string> = {},
  ): (slot: number) => Output {
    this.#count += 1;
    const nodeId = String(this.#count);
    this.#workflow[nodeId] = { class_type: classType, inputs, _meta: { title } };
    for (const [input, parameter] of Object.entries(parameters)) {
      this.#parameters.set(placeOf(nodeId, input), parameter);
    }
    return (slot) => [nodeId, slot];
  }

  build(): BuiltGraph {
    const parameters = this.#parameters;
    return {
      workflow: this.#workflow,
      parameterOf: (nodeId, input) => parameters.get(placeOf(nodeId, input)),
    };
  }
}

function placeOf(nodeId: string, input: string): string {
  return `${nodeId}.${input}`;
}
