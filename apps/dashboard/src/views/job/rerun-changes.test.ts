import { expect, test } from "@jest/globals";
import {
  changesOf,
  fieldsOfGraph,
  fieldsOfParameters,
  newSeed,
  problemsByField,
  seedsOfForm,
} from "./rerun-changes.ts";

const noSeeds = (): number => Number.NaN;

const parameters = fieldsOfParameters({ prompt: "a cat", width: 512, seed: 7 });
const graph = fieldsOfGraph({
  "3": {
    class_type: "KSampler",
    inputs: { seed: 1, steps: 20, model: ["1", 0] },
    _meta: { title: "Sampler" },
  },
  "9": { class_type: "SaveImage", inputs: { images: ["3", 0] } },
});

test("links of a graph are no fields", () => {
  expect(graph.map(({ id, node, isSeed }) => [id, node?.title, isSeed])).toEqual([
    ["3.seed", "Sampler", true],
    ["3.steps", "Sampler", false],
  ]);
});

test("only what differs is a change, and the API draws the seed of parameters", () => {
  const edited = new Map<string, unknown>([
    ["prompt", "a cat"],
    ["width", 768],
    ["seed", newSeed],
  ]);
  expect(changesOf(parameters, edited, noSeeds)).toEqual({ width: 768, seed: null });
  expect(changesOf(parameters, new Map(), noSeeds)).toEqual({});
});

test("a new seed of a graph is drawn here, beside the node's other changes", () => {
  const edited = new Map<string, unknown>([
    ["3.seed", newSeed],
    ["3.steps", 30],
  ]);
  expect(changesOf(graph, edited, () => 42)).toEqual({ "3": { seed: 42, steps: 30 } });
});

test("the seeds of a form are drawn once, and another form has others", () => {
  const numbers = [1, 2, 3, 4];
  const [form, other] = [seedsOfForm(() => numbers.shift() ?? 0), seedsOfForm(() => numbers.shift() ?? 0)];
  expect([form("3.seed"), form("5.seed"), form("3.seed"), other("3.seed")]).toEqual([1, 2, 1, 3]);
});

test("refusals stand at their fields, and others at none", () => {
  const said = problemsByField(parameters, [
    { path: "width", message: "too small" },
    { path: "changes.seed", message: "negative" },
    { path: "requires", message: "unknown" },
  ]);
  expect(Object.fromEntries(said)).toEqual({
    ...{ width: ["too small"], seed: ["negative"], "": ["requires: unknown"] },
  });
  const ofGraph = problemsByField(graph, [{ path: "workflow.3.inputs.steps", message: "too many" }]);
  expect(Object.fromEntries(ofGraph)).toEqual({ "3.steps": ["too many"] });
});
