import { type ExactNumber, type Workflow } from "@genga/comfyui";
import { type Json } from "@genga/jobs";

/** A link: the node's id and the number of its output slot. */
export type Output = [nodeId: string, slot: number];

/** A graph, and which parameter each of its inputs came from, so that a refusal can name what the client sent. */
export interface BuiltGraph {
  workflow: Workflow;
  /** The parameter behind an input, or behind the node itself (`class_type`); `undefined` for our own choices. */
  parameterOf(nodeId: string, input: string): string | undefined;
}

/** Puts nodes together; ids are 1, 2, 3, … in the order of adding. */
export class GraphBuilder {
  readonly #workflow: Workflow = {};
  readonly #parameters = new Map<string, string>();
  #count = 0;

  /**
   * Adds a node and returns its output slots by number.
   * @param title what a person calls it, for example in progress: "Sample"
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
