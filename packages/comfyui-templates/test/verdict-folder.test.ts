import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { objectInfo } from "@genga/comfyui-recordings";
import { CheckReport } from "../src/check-report.ts";
import { compareVerdicts } from "../src/compare-verdicts.ts";
import { readVerdictFolder } from "../src/verdict-files.ts";

function reportOf(folder: string): CheckReport {
  const { objectInfo: definitions, graphs } = readVerdictFolder(folder);
  const report = new CheckReport();
  for (const graph of graphs) {
    report.add(graph.name, compareVerdicts(graph, definitions), graph.server.accepted);
  }
  return report;
}

describe("a folder of verdicts", () => {
  let folder: string;
  const graph = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  };
  const tooSmall = { node: "1", input: "width", type: "value_smaller_than_min" };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "genga-verdicts-"));
    await mkdir(join(folder, "graphs"));
    await writeFile(join(folder, "object_info-x.json"), objectInfo("0.28", "core"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function write(entries: object[], files: Record<string, object>): Promise<void> {
    await writeFile(join(folder, "verdicts.json"), JSON.stringify(entries));
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(folder, "graphs", `${name}.json`), JSON.stringify(content));
    }
  }

  test("where Genga says the same is clean", async () => {
    const mutant = { base: "good", changes: [{ path: ["1", "inputs", "width"], value: 0 }] };
    await write(
      [
        { name: "good", kind: "original", mutation: null, server: { accepted: true, errors: [] } },
        { name: "bad", kind: "mutant", server: { accepted: false, errors: [tooSmall] } },
      ],
      { good: graph, bad: mutant },
    );
    expect(reportOf(folder).isClean).toBe(true);
    expect(reportOf(folder).lines().at(-1)).toMatch(/^2 graphs, 1 accepted by the server; same verdict 2,/);
  });

  test("finds false refusals, false acceptances and wrong places", async () => {
    const spoilt = { base: "good", changes: [{ path: ["1", "inputs", "width"], value: 0 }] };
    const elsewhere = { ...tooSmall, node: "2", input: "filename_prefix" };
    await write(
      [
        { name: "good", server: { accepted: false, errors: [tooSmall] } },
        { name: "spoilt", server: { accepted: true, errors: [] } },
        { name: "elsewhere", server: { accepted: false, errors: [elsewhere] } },
        {
          name: "file",
          server: { accepted: false, errors: [{ ...tooSmall, type: "custom_validation_failed" }] },
        },
      ],
      { good: graph, spoilt, elsewhere: spoilt, file: graph },
    );
    const report = reportOf(folder);
    expect(report.isClean).toBe(false);
    expect(report.lines().at(-1)).toBe(
      "4 graphs, 1 accepted by the server; same verdict 1, false refusals 1, false acceptances 1, checks of the " +
        "server's own 1, foreseen failures 0, right refusals 0, wrong places 1, untrue warnings 0",
    );
  });

  test("finds warnings that the server does not bear out", async () => {
    const unknown = { ...graph, "1": { ...graph["1"], inputs: { ...graph["1"].inputs, colour: 1 } } };
    const ignored = [{ node: "1", input: "colour" }];
    await write(
      [
        { name: "true", server: { accepted: true, errors: [], ignored } },
        { name: "untrue", server: { accepted: true, errors: [], ignored: [] } },
      ],
      { true: unknown, untrue: unknown },
    );
    expect(reportOf(folder).lines().at(-1)).toMatch(/untrue warnings 1$/);
  });
});

const templates = process.env["TEMPLATES_DIR"];

(templates === undefined ? describe.skip : describe)("the folder in TEMPLATES_DIR", () => {
  test("has no false refusal, no wrong place and no untrue warning", () => {
    const report = reportOf(templates ?? "");
    const last = report.lines().at(-1);
    expect(last).toMatch(/false refusals 0,/);
    expect(last).toMatch(/wrong places 0, untrue warnings 0$/);
  });
});
