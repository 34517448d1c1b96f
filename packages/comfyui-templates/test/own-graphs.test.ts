import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema, type ObjectInfo } from "@genga/comfyui";
import { objectInfo } from "@genga/comfyui-recordings";
import { compareVerdicts } from "../src/compare-verdicts.ts";
import { readOwnGraphs, type OwnGraph } from "../src/own-graphs.ts";

const graphs = await readOwnGraphs();

/** The recorded definitions are a part of all: graphs of classes that only the server had are left out. */
function isCovered({ graph }: OwnGraph, version: string, definitions: ObjectInfo): boolean {
  const known = graphs.flatMap((own) =>
    own.verdicts[version]?.accepted === true ? Object.values(own.graph).map((node) => node.class_type) : [],
  );
  return Object.values(graph).every(
    ({ class_type: name }) => Object.hasOwn(definitions, name) || !known.includes(name),
  );
}

describe.each(["0.3.64", "0.28"] as const)("Genga judges as a real ComfyUI %s did:", (version) => {
  const definitions = objectInfoSchema.parse(JSON.parse(objectInfo(version, "core")));
  const covered = graphs.filter((own) => isCovered(own, version, definitions));

  test.each(covered.map((own) => [own.name, own] as const))("%s", (name, { graph, verdicts }) => {
    const server = verdicts[version];
    expect(server).toBeDefined();
    const { outcome, message, isWrongPlace } = compareVerdicts({ name, graph, server: server! }, definitions);
    expect({ outcome, message }).toEqual({
      outcome: expect.stringMatching(/^(agreed|right refusal)$/),
      message,
    });
    expect(isWrongPlace).toBe(false);
  });

  test("the set has graphs of both kinds", () => {
    const accepted = covered.filter(({ verdicts }) => verdicts[version]?.accepted);
    expect(accepted.length).toBeGreaterThanOrEqual(8);
    expect(covered.length - accepted.length).toBeGreaterThanOrEqual(10);
  });
});
