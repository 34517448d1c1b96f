import { describe, expect, test } from "@jest/globals";

import { stepsOf, workflowShape } from "./workflow-shape.ts";
import { type Workflow } from "./workflow.ts";

function image(changes: { prompt?: string; seed?: number; steps?: number; width?: number } = {}): Workflow {
  const { prompt = "a cat", seed = 1, steps = 20, width = 512 } = changes;
  return {
    1: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "a.safetensors" } },
    2: { class_type: "CLIPTextEncode", inputs: { clip: ["1", 1], text: prompt } },
    3: { class_type: "EmptyLatentImage", inputs: { width, height: 512, batch_size: 1 } },
    4: {
      class_type: "KSampler",
      inputs: { model: ["1", 0], positive: ["2", 0], latent_image: ["3", 0], seed, steps, cfg: 7 },
    },
    5: { class_type: "SaveImage", inputs: { images: ["4", 0] } },
  };
}

function renamed(workflow: Workflow): Workflow {
  const text = JSON.stringify(Object.entries(workflow).reverse()).replaceAll(/"(\d)"/g, '"node $1"');
  return Object.fromEntries(JSON.parse(text) as [string, Workflow[string]][]);
}

describe("the shape of a graph", () => {
  test("does not depend on prompts, seeds, and the names and order of its nodes", () => {
    const { nodeKeys, ...shape } = workflowShape(image());
    const { nodeKeys: otherKeys, ...other } = workflowShape(renamed(image({ prompt: "a dog", seed: 2 })));
    expect(other).toEqual(shape);
    expect(otherKeys.get("node 4")).toBe(nodeKeys.get("4"));
  });

  test("is exact by what scales the work, and the work follows it", () => {
    const shape = workflowShape(image());
    const twice = workflowShape(image({ steps: 40 }));
    const wider = workflowShape(image({ width: 1024 }));
    expect([twice.structure, wider.structure]).toEqual([shape.structure, shape.structure]);
    expect(new Set([shape.exact, twice.exact, wider.exact]).size).toBe(3);
    expect([shape, twice, wider].map(({ steps, size }) => [steps, size])).toEqual([
      [20, 1],
      [40, 1],
      [20, 2],
    ]);
  });

  test("has another structure when a link goes elsewhere or a class is another one", () => {
    const linked = image();
    linked["4"] = { class_type: "KSampler", inputs: { ...linked["4"]?.inputs, positive: ["1", 1] } };
    const otherClass = image();
    otherClass["5"] = { class_type: "PreviewImage", inputs: { images: ["4", 0] } };
    const structures = [image(), linked, otherClass].map((graph) => workflowShape(graph).structure);
    expect(new Set(structures).size).toBe(3);
  });

  test("takes a number from the node that holds it", () => {
    const graph = image();
    graph["6"] = { class_type: "PrimitiveInt", inputs: { value: 30 } };
    graph["4"] = { class_type: "KSampler", inputs: { ...graph["4"]?.inputs, steps: ["6", 0] } };
    expect(workflowShape(graph).steps).toBe(30);
    expect(stepsOf(graph["4"], graph)).toBe(30);
  });

  test("counts only the steps of a part that a sampler makes", () => {
    const node = {
      class_type: "KSamplerAdvanced",
      inputs: { steps: 20, start_at_step: 12, end_at_step: 10000 },
    };
    expect(stepsOf(node, {})).toBe(8);
  });

  test("is found for graphs with rings, very deep ones, and absurd numbers", () => {
    const ring: Workflow = {
      a: { class_type: "A", inputs: { in: ["b", 0] } },
      b: { class_type: "B", inputs: { in: ["a", 0], width: 1e300, height: 1e300, steps: -1 } },
    };
    expect(workflowShape(ring).nodeKeys.size).toBe(2);
    expect(Number.isFinite(workflowShape(ring).size)).toBe(true);
    const deep = Object.fromEntries(
      Array.from({ length: 5_000 }, (_unused, index) => [
        `n${index}`,
        { class_type: "Step", inputs: { in: [`n${index + 1}`, 0] } },
      ]),
    );
    expect(workflowShape(deep).nodeKeys.size).toBe(5_000);
  });
});
