import { describe, expect, test } from "@jest/globals";
import { createWorkflowResolver, type KnownServer } from "@genga/workflows";
import { coreNodes, everything, objectInfoOf, serverWith } from "./recorded-servers.ts";

const known = [serverWith("a", everything)];

async function warningsOf(
  workflow: Record<string, object>,
  { servers = known, ...options }: { servers?: KnownServer[] } & Record<string, unknown> = {},
): Promise<string[]> {
  const resolver = createWorkflowResolver({ definitions: () => Promise.resolve(servers) });
  return (await resolver.resolve("workflow", { workflow, ...options })).warnings;
}

const image = { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 1 } };
const preview = { class_type: "PreviewImage", inputs: { images: ["1", 0] } };
const save = { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } };
const combine = {
  class_type: "VHS_VideoCombine",
  inputs: {
    ...{ images: ["1", 0], frame_rate: 8, loop_count: 0, filename_prefix: "x", format: "image/gif" },
    ...{ pingpong: false, save_output: false },
  },
};

describe("a graph of which only temporary files come", () => {
  test("is accepted with a warning that names keepPreviews", async () => {
    expect(await warningsOf({ "1": image, "2": preview })).toEqual([
      "No output will be stored: the files of node 2 (PreviewImage) are temporary. " +
        'Send "keepPreviews": true to have them stored, or end the graph with a node that saves, such as SaveImage.',
    ]);
  });

  test("is warned of while no server is known, too", async () => {
    expect(await warningsOf({ "1": image, "2": preview }, { servers: [] })).toEqual([
      expect.stringContaining("keepPreviews"),
    ]);
  });

  test("may end in a video that is not to be saved", async () => {
    expect(await warningsOf({ "1": image, "2": combine })).toEqual([
      expect.stringContaining("node 2 (VHS_VideoCombine)"),
    ]);
  });

  test("names three of many nodes, by their titles", async () => {
    const previews = Object.fromEntries(
      ["2", "3", "4", "5", "6"].map((id) => [id, { ...preview, _meta: { title: `Look ${id}` } }]),
    );
    const [warning] = await warningsOf({ "1": image, ...previews });
    expect(warning).toContain(
      '"Look 3" (PreviewImage), node 4 "Look 4" (PreviewImage), 2 more are temporary',
    );
  });
});

describe("no such warning is given", () => {
  test.each<[string, Record<string, object>, object]>([
    ["where previews are kept", { "1": image, "2": preview }, { keepPreviews: true }],
    ["where another node saves", { "1": image, "2": preview, "3": save }, {}],
    [
      "of a video that is saved",
      { "1": image, "2": { ...combine, inputs: { ...combine.inputs, save_output: true } } },
      {},
    ],
    [
      "where a node makes a text, which is stored",
      { "1": image, "2": preview, "3": { class_type: "PreviewAny", inputs: { source: ["1", 0] } } },
      {},
    ],
  ])("%s", async (_name, workflow, options) => {
    const warnings = await warningsOf(workflow, { ...options });
    expect(warnings.filter((warning) => warning.includes("stored"))).toEqual([]);
  });
});

test("a node that sends its pictures to a socket is warned of beside one that saves", async () => {
  const swarm = { class_type: "SwarmSaveImageWS", inputs: { images: ["1", 0] } };
  const definition = { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true };
  const servers = [serverWith("swarm", objectInfoOf(coreNodes, { SwarmSaveImageWS: definition }))];
  const warnings = await warningsOf({ "1": image, "2": swarm, "3": save, "4": preview }, { servers });
  expect(warnings).toContainEqual(
    expect.stringMatching(/^What node 2 \(SwarmSaveImageWS\) makes will not be stored/),
  );
});

test("a graph that only sends its pictures to a socket is warned of: nothing can keep those", async () => {
  const socket = { class_type: "SaveImageWebsocket", inputs: { images: ["1", 0] } };
  for (const options of [{}, { keepPreviews: true }]) {
    expect(await warningsOf({ "1": image, "2": socket }, options)).toEqual([
      expect.stringMatching(/^No output will be stored: node 2 \(SaveImageWebsocket\)/),
    ]);
  }
});
