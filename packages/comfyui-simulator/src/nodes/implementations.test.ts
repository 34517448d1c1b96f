import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nodeImplementations } from "./implementations.ts";
import { readNodeDefinitions } from "./node-catalog.ts";

const PACKS = ["core", "animatediff", "video-helper-suite", "recording-nodes"];

test("every described class runs, or is listed as one that does not", () => {
  const folder = fileURLToPath(new URL("../object-info", import.meta.url));
  const described = [...readNodeDefinitions(folder, PACKS).keys()];
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const listed = /<!-- not simulated -->([\s\S]*?)<!-- end -->/.exec(readme)![1]!.match(/\w+/g)!;
  const simulated = nodeImplementations.names();
  expect(described.filter((name) => !simulated.includes(name)).sort()).toEqual([...listed].sort());
  expect(simulated.filter((name) => !described.includes(name))).toEqual([]);
});
