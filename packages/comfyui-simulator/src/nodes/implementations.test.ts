import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { nodeImplementations } from "./implementations.ts";
import { readNodeDefinitions } from "./node-definitions.ts";

const packs = ["core", "animatediff", "video-helper-suite", "recording-nodes", "telling-nodes"];

test("every described class runs, or is listed as one that does not", () => {
  const described = [
    ...new Set((["0.3", "0.28"] as const).flatMap((api) => [...readNodeDefinitions(api, packs).keys()])),
  ];
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const listed = /<!-- not simulated -->([\s\S]*?)<!-- end -->/.exec(readme)![1]!.match(/\w+/g)!;
  const simulated = nodeImplementations.names();
  expect(described.filter((name) => !simulated.includes(name)).sort()).toEqual([...listed].sort());
  expect(simulated.filter((name) => !described.includes(name))).toEqual([]);
});
