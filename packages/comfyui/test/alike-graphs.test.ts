import { workflow as recordedWorkflowText, workflowNames } from "@genga/comfyui-recordings";
import { describe, expect, test } from "@jest/globals";
import { ExactNumber, parseExactJson, validateGraph, workflowSchema, type Workflow } from "../src/index.ts";
import { FaultlessGraphs } from "../src/checking/alike-graphs.ts";
import { recordedObjectInfo } from "./recordings.ts";

const objectInfo = recordedObjectInfo();

/** What may stand in a graph in place of another value, from the usual to the absurd. */
const otherValues: readonly unknown[] = [
  ...["", "another text", "a.safetensors", "video/h264-mp4", "x.png [output]", "7", "1e5"],
  ...[0, 1, -1, 7, 8, 33, 2.5, 100_000, 2 ** 53, new ExactNumber("18446744073709551615")],
  ...[new ExactNumber("1.0"), new ExactNumber("1e30"), true, false, null, [], ["1"], ["9999", 0], ["1", 99]],
  ...[{ __value__: [1] }, { deep: { er: 1 } }],
];

function graphs(): [name: string, workflow: Workflow][] {
  return workflowNames("0.3.64").map((name) => [
    name,
    workflowSchema.parse(parseExactJson(recordedWorkflowText("0.3.64", name))),
  ]);
}

/** The graph with one value replaced, for each input of each node. */
function* variationsOf(workflow: Workflow): Generator<Workflow> {
  for (const [nodeId, node] of Object.entries(workflow)) {
    for (const input of Object.keys(node.inputs)) {
      for (const value of otherValues) {
        yield { ...workflow, [nodeId]: { ...node, inputs: { ...node.inputs, [input]: value } } };
      }
    }
  }
}

describe("a graph that differs from a faultless one in one value", () => {
  test.each(graphs())(
    "is judged as if there had been no other: %s",
    (_name, workflow) => {
      // A copy of the definitions has no memory of earlier graphs.
      const alone = (one: Workflow): object => validateGraph(one, { ...objectInfo });
      validateGraph(workflow, objectInfo);
      for (const variation of variationsOf(workflow)) {
        expect([variation, validateGraph(variation, objectInfo)]).toEqual([variation, alone(variation)]);
      }
    },
    180_000,
  );

  test("is not judged again if it differs in a prompt, a seed, or a number of steps only", () => {
    const faultless = new FaultlessGraphs();
    const image = (inputs: object, text: string): Workflow => {
      const base = workflowSchema.parse(JSON.parse(recordedWorkflowText("0.3.64", "sd15-image")));
      const entries = Object.entries(base).map(([nodeId, node]) => {
        if (node.class_type === "KSampler")
          return [nodeId, { ...node, inputs: { ...node.inputs, ...inputs } }];
        if (node.class_type !== "CLIPTextEncode") return [nodeId, node];
        return [nodeId, { ...node, inputs: { ...node.inputs, text } }];
      });
      return workflowSchema.parse(Object.fromEntries(entries));
    };
    const likeness = (inputs: object, text = "a street"): string | undefined =>
      faultless.likenessOf(image(inputs, text), objectInfo);
    const first = likeness({});
    expect(first).toBeDefined();
    expect(likeness({ seed: new ExactNumber("18446744073709551615"), steps: 33, cfg: 4.5 }, "dawn")).toBe(
      first,
    );
    expect(likeness({ sampler_name: "heun" })).not.toBe(first);
    expect(likeness({ seed: -1 })).not.toBe(first);
    expect(likeness({ model: ["5", 0] })).not.toBe(first);
  });
});
