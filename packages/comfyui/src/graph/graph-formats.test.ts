import { describe, expect, test } from "@jest/globals";
import { validateGraph } from "../checking/graph-validation.ts";

const nodes = [
  { id: 1, type: "EmptyImage", pos: [0, 0], inputs: [], outputs: [{ name: "IMAGE", links: [1] }] },
  { id: 2, type: "SaveImage", pos: [9, 0], inputs: [{ name: "images", link: 1 }], outputs: [] },
];

describe("the editor's own format is one problem that says how to export", () => {
  test.each<[string, object]>([
    [
      "in version 0.4",
      {
        ...{ last_node_id: 2, last_link_id: 1, nodes, groups: [], config: {}, extra: {}, version: 0.4 },
        links: [[1, 1, 0, 2, 0, "IMAGE"]],
      },
    ],
    [
      "in version 0.4 with subgraphs",
      {
        ...{ id: "x", revision: 0, last_node_id: 2, last_link_id: 1, nodes, links: [], version: 0.4 },
        definitions: { subgraphs: [{ id: "y", nodes: [], links: [] }] },
      },
    ],
    [
      "in version 1",
      {
        ...{ version: 1, config: {}, state: { lastNodeId: 2 }, groups: [], nodes },
        links: [{ id: 1, origin_id: 1, origin_slot: 0, target_id: 2, target_slot: 0, type: "IMAGE" }],
      },
    ],
    ["without links", { version: 1, state: {}, nodes }],
  ])("%s", (_name, workflow) => {
    expect(validateGraph(workflow).errors).toEqual([
      {
        code: "editor_format",
        message:
          "The workflow is in the editor's own format, which no server runs. Export it in the API format: in today's " +
          "ComfyUI with the menu Workflow → Export (API); in an older one switch on the dev mode options in the " +
          "settings, then use “Save (API Format)”.",
      },
    ]);
  });

  test("but not of a graph with a node called nodes", () => {
    const workflow = { nodes: { class_type: "PreviewImage", inputs: {} } };
    expect(validateGraph(workflow).errors).toEqual([]);
  });
});
