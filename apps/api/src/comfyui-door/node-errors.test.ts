import { describe, expect, test } from "@jest/globals";
import { type JobProblem } from "@genga/jobs";
import { refusalOfGraph } from "./node-errors.ts";
import { type RefusedGraph } from "./refused-graph.ts";

const node = (classType: string, from?: string): object => ({
  class_type: classType,
  inputs: from === undefined ? {} : { image: [from, 0] },
});
const problem = (code: string, nodeId: string): JobProblem => ({
  code,
  nodeId,
  path: "workflow",
  message: code,
});
const refused = (graph: Record<string, unknown>, outputNodes: string[]): RefusedGraph => ({
  ...{ graph, outputNodes, isNewer: true },
  definitionOf: () => undefined,
});

describe("a refusal", () => {
  test("names the outputs that each node with an error affects, and reads each node a few times only", () => {
    const count = 60;
    const ids = Array.from({ length: count }, (_each, index) => String(index));
    const outputNodes = ids.map((id) => `output ${id}`);
    const chain = ids.map((id, index) => [id, node("Blur", index === 0 ? undefined : ids[index - 1])]);
    const outputs = outputNodes.map((id) => [id, node("Preview", ids.at(-1))]);
    let reads = 0;
    const graph = new Proxy(Object.fromEntries([...chain, ...outputs]) as Record<string, unknown>, {
      get: (target, name) => {
        reads += 1;
        return target[String(name)];
      },
    });
    const problems = ids.map((id) => problem("unknown-value", id));
    const { refusal } = refusalOfGraph(problems, refused(graph, [...outputNodes, "other"]));
    expect(Object.keys(refusal.node_errors)).toEqual(ids);
    for (const { dependent_outputs: dependent } of Object.values(refusal.node_errors))
      expect(dependent).toEqual(outputNodes);
    expect(reads).toBeLessThan(20 * count);
  });

  test("of a long ring of nodes names its first hundred", () => {
    const count = 400;
    const ids = Array.from({ length: count }, (_each, index) => String(index));
    const graph = Object.fromEntries(ids.map((id, index) => [id, node("Blur", ids[(index + 1) % count])]));
    const { refusal } = refusalOfGraph([problem("dependency-cycle", "0")], refused(graph, ["0"]));
    expect(Object.keys(refusal.node_errors)).toEqual(ids.slice(0, 100));
    const [error] = refusal.node_errors["99"]?.errors ?? [];
    expect(error?.extra_info).toEqual({ node_id: "99", cycle_nodes: ids.slice(0, 100) });
    expect(error?.details).toMatch(/^0 \(Blur\) -> 1 \(Blur\) -> .+ -> 99 \(Blur\) -> \.\.\. -> 0 \(Blur\)$/);
  });

  test("takes a node for one like any other whose name every object has", () => {
    const graph = Object.fromEntries([
      ["constructor", node("Blur")],
      ["__proto__", node("Preview", "constructor")],
    ]);
    const problems = [problem("unknown-value", "constructor"), problem("unknown-value", "__proto__")];
    const { refusal } = refusalOfGraph(problems, refused(graph, ["__proto__"]));
    expect(
      Object.entries(refusal.node_errors).map(([id, { errors, ...told }]) => [id, errors.length, told]),
    ).toEqual([
      ["constructor", 1, { dependent_outputs: ["__proto__"], class_type: "Blur" }],
      ["__proto__", 1, { dependent_outputs: ["__proto__"], class_type: "Preview" }],
    ]);
  });
});
