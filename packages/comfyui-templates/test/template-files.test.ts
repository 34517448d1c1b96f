import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { ExactNumber } from "@genga/comfyui";
import { makeStandIns, readTemplates } from "../src/template-files.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-templates-"));
});
afterEach(() => rm(folder, { recursive: true }));

const template = {
  nodes: [
    {
      type: "CheckpointLoaderSimple",
      properties: { models: [{ name: "a.safetensors", url: "x", directory: "checkpoints" }] },
    },
    { type: "LoadImage", widgets_values: ["cat.png", "image"] },
    { type: "LoadImage", widgets_values: ["../../outside.png", "image"] },
  ],
  definitions: {
    subgraphs: [
      {
        nodes: [
          { type: "VAELoader", properties: { models: [{ name: "b.safetensors", directory: "../../vae" }] } },
          { type: "Load3D", widgets_values: ["3d/toy.glb"] },
        ],
      },
    ],
  },
};

test("templates are found in folders below, with every number as it was written", async () => {
  await mkdir(join(folder, "package", "templates"), { recursive: true });
  await writeFile(join(folder, "package", "templates", "b.json"), '{"seed": 18446744073709551615}');
  await writeFile(join(folder, "package", "templates", "a.json"), "[]");
  await writeFile(join(folder, "package", "notes.txt"), "");
  expect(await readTemplates(folder)).toEqual([
    { name: "a", content: [] },
    { name: "b", content: { seed: new ExactNumber("18446744073709551615") } },
  ]);
});

test("stand-ins are made for the files that templates name, and none outside of the folder", async () => {
  const base = join(folder, "base");
  const count = await makeStandIns(
    [
      { name: "x", content: template },
      { name: "list", content: [] },
    ],
    base,
  );
  const entries = await readdir(base, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  expect(files.sort()).toEqual(
    ["input/3d/toy.glb", "input/cat.png", "models/checkpoints/a.safetensors"].map((path) => join(base, path)),
  );
  expect(count).toBe(3);
});
