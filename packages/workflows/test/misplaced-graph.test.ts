import { describe, expect, test } from "@jest/globals";
import { findMisplacedGraph } from "@genga/workflows";

const graph = { "1": { class_type: "EmptyImage", inputs: {} } };
const editorGraph = { nodes: [{ id: 1, type: "EmptyImage" }], links: [], version: 0.4 };

function messageOf(body: unknown): string | undefined {
  return findMisplacedGraph(body)?.message;
}

describe("a graph in the wrong place", () => {
  test.each<[string, unknown, string]>([
    ["is the body", graph, 'A graph is the body itself; send {"type":"workflow","workflow":<graph>}.'],
    [
      "is what ComfyUI's own POST /prompt takes",
      { prompt: graph, client_id: "x" },
      'A graph was found at prompt; send {"type":"workflow","workflow":<graph>}.',
    ],
    [
      "lacks its type",
      { workflow: graph },
      'A graph was found at workflow, but the type is missing; send {"type":"workflow","workflow":<graph>}.',
    ],
    [
      "is a text",
      { type: "workflow", workflow: JSON.stringify(graph) },
      'A graph was found at workflow, as a text; send {"type":"workflow","workflow":<graph>}, with the graph as a JSON object.',
    ],
    [
      "is a text in a text",
      { input: JSON.stringify({ workflow: JSON.stringify(graph) }) },
      'A graph was found at input.workflow, as a text; send {"type":"workflow","workflow":<graph>}, with the graph as a JSON object.',
    ],
    [
      "is what an image file of ComfyUI carries: the API format is preferred",
      { workflow: editorGraph, prompt: graph },
      'A graph was found at prompt; send {"type":"workflow","workflow":<graph>}.',
    ],
  ])("%s", (_name, body, message) => {
    expect(messageOf(body)).toBe(message);
  });

  test("in the editor's format is told how to export rightly", () => {
    const message = messageOf({ graph: editorGraph });
    expect(message).toMatch(
      /^A graph in the editor's own format was found at graph\. No server runs that format\. /,
    );
    expect(message).toContain("menu Workflow → Export (API)");
    expect(message).toContain("“Save (API Format)”");
    expect(message).toMatch(/Then send \{"type":"workflow","workflow":<graph>\}\.$/);
  });
});

describe("nothing is found", () => {
  test.each<[string, unknown]>([
    ["where the graph is in its place", { type: "workflow", workflow: graph }],
    ["where another graph stands beside it", { type: "workflow", workflow: graph, prompt: graph }],
    [
      "where a graph in its place is in the editor's format: that is said of its format",
      { type: "workflow", workflow: editorGraph },
    ],
    ["in parameters", { type: "image", prompt: "a cat", components: { unet: "x", textEncoders: ["y"] } }],
    ["in a text that is no JSON", { type: "workflow", workflow: '{"class_type" is missing' }],
    ["in null", null],
    ["in a number", 7],
  ])("%s", (_name, body) => {
    expect(findMisplacedGraph(body)).toBeUndefined();
  });

  test("in the prompt of a picture, though it reads like a graph", () => {
    const body = { type: "image", prompt: JSON.stringify(graph) };
    expect(findMisplacedGraph(body, { readsTexts: false })).toBeUndefined();
  });

  test("in a huge body without one, and not for long", () => {
    const wide = Object.fromEntries(
      Array.from({ length: 200_000 }, (_, index) => [String(index), { a: [{}] }]),
    );
    const startedAt = performance.now();
    expect(
      findMisplacedGraph({ wide, texts: Array.from({ length: 10_000 }, () => "{".repeat(100)) }),
    ).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});
