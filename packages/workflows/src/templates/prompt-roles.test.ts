import { type Workflow } from "@genga/comfyui";
import { describe, expect, test } from "@jest/globals";
import { promptRolesOf } from "./prompt-roles.ts";

const text = { class_type: "CLIPTextEncode", inputs: { text: "a fox" } };

describe("the roles of a graph's texts", () => {
  test("are found at once where very many ways lead to one text", () => {
    const levels = 50;
    const graph: Workflow = { sampler: { class_type: "KSampler", inputs: { positive: ["0", 0] } } };
    for (let level = 0; level < levels; level += 1) {
      const next = String(level + 1);
      const inputs = { conditioning_1: [next, 0], conditioning_2: [next, 0] };
      graph[String(level)] = { class_type: "ConditioningCombine", inputs };
    }
    graph[String(levels)] = text;
    expect([...promptRolesOf(graph)]).toEqual([[JSON.stringify([String(levels), "text"]), "prompt"]]);
  });

  test("are found where many inputs take their texts from one node", () => {
    const many = <Value>(value: Value): Record<string, Value> =>
      Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`text_${index}`, value]));
    const graph: Workflow = {
      sampler: { class_type: "KSampler", inputs: { positive: ["encode", 0], negative: ["encode", 0] } },
      encode: { class_type: "Encode", inputs: many(["source", 0]) },
      source: { class_type: "Texts", inputs: many("a fox") },
    };
    expect(promptRolesOf(graph).size).toBe(20_000);
  });

  test("end where nodes are linked in a circle, and of two roles of a text the positive one counts", () => {
    const pass = (from: string): Workflow[string] => ({
      class_type: "Pass",
      inputs: { a: [from, 0], b: ["t", 0] },
    });
    const graph: Workflow = {
      sampler: { class_type: "KSampler", inputs: { positive: ["p", 0], negative: ["q", 0] } },
      p: pass("q"),
      q: pass("p"),
      t: text,
    };
    expect([...promptRolesOf(graph).values()]).toEqual(["prompt"]);
  });
});
