import { expect, test } from "@jest/globals";
import { graphNodesMax } from "@genga/comfyui";
import { type JobOutput, type JobReader } from "@genga/jobs";
import { rewriteGraph, type RewritingParts } from "./rewrite-graph.ts";

/** A tenant that has every output that is named, all of one job. */
function tenantWithOutputs(): { parts: RewritingParts; reads: () => number } {
  let reads = 0;
  const output = { nodeId: "9", key: "images", index: 0 } as JobOutput;
  const reader = {
    listOutputs: () => {
      reads += 1;
      return Promise.resolve([output]);
    },
  };
  const file = { jobId: "the-job", source: JSON.stringify(["9", "images", 0]), hasEnded: true };
  const parts: RewritingParts = {
    tenantId: "tenant",
    doorFiles: { findFiles: (_tenant, names) => Promise.resolve(names.map(() => file)) },
    uploads: { findUploads: () => Promise.resolve([]), findUploadsByContent: () => Promise.resolve([]) },
    jobs: { of: () => reader } as unknown as JobReader,
    definitionOf: () => undefined,
  };
  return { parts, reads: () => reads };
}

const loaders = (count: number): Record<string, unknown> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      String(index),
      { class_type: "LoadImage", inputs: { image: `picture-${index}.png [output]` } },
    ]),
  );

test("the outputs of a job are read once for all inputs that name files of it", async () => {
  const { parts, reads } = tenantWithOutputs();
  const { graph, missing } = await rewriteGraph(loaders(50), parts);
  expect(missing).toEqual([]);
  expect(graph["49"]).toEqual({
    class_type: "LoadImage",
    inputs: { image: { $output: { from: "the-job", output: 0 } } },
  });
  expect(reads()).toBe(1);
});

test("no file is looked for whose graph is refused for its number of nodes", async () => {
  const { parts, reads } = tenantWithOutputs();
  const given = loaders(graphNodesMax + 1);
  expect((await rewriteGraph(given, parts)).graph).toBe(given);
  expect(reads()).toBe(0);
});
