import { type PythonJson } from "../python/python-json.ts";
import { PythonFloat } from "../python/python-values.ts";
import { type RunningGraph } from "./running-graph.ts";

interface NodeProgress {
  value: number | PythonFloat;
  max: number | PythonFloat;
  state: "running" | "finished";
}

/** The nodes of one prompt that have started, in the order in which they did: the content of `progress_state`. */
export class ProgressRegistry {
  readonly #nodes = new Map<string, NodeProgress>();
  readonly #promptId: string;
  readonly #graph: RunningGraph;

  constructor(promptId: string, graph: RunningGraph) {
    this.#promptId = promptId;
    this.#graph = graph;
  }

  start(nodeId: string): void {
    this.#nodes.set(nodeId, { value: new PythonFloat(0), max: new PythonFloat(1), state: "running" });
  }

  update(nodeId: string, value: number, max: number): void {
    this.#nodes.set(nodeId, { value, max, state: "running" });
  }

  /** A node that never started (its result was cached) counts as 1 of 1, as whole numbers. */
  finish(nodeId: string): void {
    const max = this.#nodes.get(nodeId)?.max ?? 1;
    this.#nodes.set(nodeId, { value: max, max, state: "finished" });
  }

  message(): PythonJson {
    const nodes = [...this.#nodes].map(([nodeId, { value, max, state }]): [string, PythonJson] => [
      nodeId,
      {
        value,
        max,
        state,
        node_id: nodeId,
        prompt_id: this.#promptId,
        display_node_id: this.#graph.displayIdOf(nodeId),
        parent_node_id: this.#graph.parentOf(nodeId) ?? null,
        real_node_id: this.#graph.realIdOf(nodeId),
      },
    ]);
    return { prompt_id: this.#promptId, nodes: new Map(nodes) };
  }
}
