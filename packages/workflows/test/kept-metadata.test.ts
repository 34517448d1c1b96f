import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema } from "@genga/comfyui";
import { objectInfo } from "@genga/comfyui-recordings";
import { createWorkflowResolver } from "@genga/workflows";
import { z } from "zod";
import { everything, objectInfoOf, serverWith } from "./recorded-servers.ts";

const ofPack = {
  input: { required: { images: ["IMAGE"] } },
  ...{ output: [], output_node: true, display_name: "Save as AVIF", python_module: "custom_nodes.pack" },
};
const server = serverWith("a", { ...everything, ...objectInfoOf({ SaveAsAvif: ofPack }) });
const image = { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 1 } };
const save = { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } };
const stranger = { class_type: "SaveAsAvif", inputs: { images: ["1", 0] } };

async function warningsOf(nodes: object[], options: object): Promise<string[]> {
  const resolver = createWorkflowResolver({ definitions: () => Promise.resolve([server]) });
  const workflow = Object.fromEntries(nodes.map((node, index) => [String(index + 1), node]));
  return (await resolver.resolve("workflow", { workflow, ...options })).warnings;
}

describe("a graph that is to be stored without its metadata", () => {
  test("is warned of where a writer is not known", async () => {
    expect(await warningsOf([image, save, stranger], { stripMetadata: true })).toEqual([
      expect.stringMatching(
        /^stripMetadata: Genga does not know in which formats node 3 \(SaveAsAvif\) may write\. PNG, /,
      ),
    ]);
  });

  test.each([
    ["where all writers are known", [image, save], { stripMetadata: true }],
    ["where metadata may stay", [image, save, stranger], {}],
  ])("is not warned of %s", async (_name, nodes, options) => {
    expect(await warningsOf(nodes, options)).toEqual([]);
  });
});

test.each([
  ["0.3.64", "core"],
  ["0.3.64", "animatediff"],
  ["0.3.64", "video-helper-suite"],
  ["0.28", "core"],
] as const)("every output node of the catalogue of %s, %s, is known", async (version, name) => {
  const nodes = objectInfoSchema.parse(JSON.parse(objectInfo(version, name)));
  const outputs = Object.entries(nodes).filter(
    ([, { isOutputNode, pythonModule }]) => isOutputNode && !pythonModule.startsWith("comfy_api_nodes"),
  );
  expect(outputs).not.toEqual([]);
  for (const [classType] of outputs) {
    const resolver = createWorkflowResolver({ definitions: () => Promise.resolve([]) });
    const workflow = { "1": { class_type: classType, inputs: {} } };
    const { warnings } = await resolver.resolve("workflow", { workflow, stripMetadata: true });
    expect(
      z
        .array(z.string())
        .parse(warnings)
        .filter((each) => each.startsWith("stripMetadata")),
    ).toEqual([]);
  }
});
