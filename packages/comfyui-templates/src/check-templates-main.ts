/**
 * Compares Genga's verdicts on the official workflow templates with those of a real ComfyUI. No template runs: see
 * server-verdicts.ts. docs/comfyui-versions.md tells when and how to use this check.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { objectInfoSchema, stringifyExactJson, type Workflow } from "@genga/comfyui";
import { CheckReport } from "./check-report.ts";
import { compareVerdicts } from "./compare-verdicts.ts";
import { readOwnGraphs, recordVerdict } from "./own-graphs.ts";
import { UnfitServerError, VerdictServer, type ServerVerdict } from "./server-verdicts.ts";
import { downloadTemplates, makeStandIns, readTemplates, type TemplateFile } from "./template-files.ts";
import { toApiGraph } from "./to-api-graph.ts";

const usage = `COMFYUI_URL=http://127.0.0.1:8188 npm run check:templates
  compares Genga's verdicts on the official templates with those of the server at COMFYUI_URL. The server must be idle;
  graphs are posted and deleted, and never run.
  -- --package NAME[==VERSION]  which package of templates (default comfyui-workflow-templates-json, the newest)
  -- --templates FOLDER         files of the editor from a folder instead of PyPI
  -- --stand-ins FOLDER         only make an empty file for each model and input that the templates name, and end
  -- --keep FOLDER              keep graphs, verdicts and definitions there, as TEMPLATES_DIR takes them
  -- --own                      the project's own graphs instead of templates
  -- --own --record             the same, and keep the verdicts of this server's version with the graphs
ends with 0: same verdicts; 1: they differ; 2: nothing could be compared`;

const { values } = parseArgs({
  options: {
    package: { type: "string", default: "comfyui-workflow-templates-json" },
    templates: { type: "string" },
    "stand-ins": { type: "string" },
    keep: { type: "string" },
    own: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

interface NamedGraph {
  name: string;
  graph: Workflow;
}

async function main(): Promise<number> {
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values["stand-ins"] !== undefined) {
    const count = await makeStandIns(await templates(), values["stand-ins"]);
    console.log(`${count} empty files in ${values["stand-ins"]}`);
    return 0;
  }
  const url = process.env["COMFYUI_URL"];
  if (url === undefined || url === "") {
    console.error(`COMFYUI_URL is not set.\n\n${usage}`);
    return 2;
  }
  const server = await VerdictServer.open(url);
  try {
    const version = await server.version();
    console.log(`ComfyUI ${version} at ${url}`);
    return values.own ? await checkOwnGraphs(server, versionName(version)) : await checkTemplates(server);
  } finally {
    const ran = await server.close();
    if (ran > 0)
      console.error(`${ran} of the posted graphs ran after all: another client emptied the queue.`);
  }
}

async function checkTemplates(server: VerdictServer): Promise<number> {
  const files = await templates();
  const definitions = await server.objectInfo();
  const graphs: NamedGraph[] = [];
  const reasons = new Map<string, { count: number; classes: Set<string> }>();
  for (const { name, content } of files) {
    const conversion = toApiGraph(content, definitions);
    if ("graph" in conversion) graphs.push({ name, graph: conversion.graph });
    else {
      const { count, classes } = reasons.get(conversion.reason) ?? { count: 0, classes: new Set<string>() };
      if (conversion.missingClass !== undefined) classes.add(conversion.missingClass);
      reasons.set(conversion.reason, { count: count + 1, classes });
    }
  }
  console.log(`${files.length} files, ${graphs.length} converted`);
  for (const [reason, { count, classes }] of reasons) {
    const which = classes.size === 0 ? "" : `: ${[...classes].sort().join(", ")}`;
    console.log(`  ${String(count).padStart(4)}  ${reason}${which}`);
  }
  const verdicts = await verdictsOf(server, graphs);
  const report = new CheckReport();
  const objectInfo = objectInfoSchema.parse(definitions);
  for (const { name, graph, verdict } of verdicts) {
    report.add(name, compareVerdicts({ name, graph, server: verdict }, objectInfo), verdict.accepted);
  }
  console.log(report.lines().join("\n"));
  if (values.keep !== undefined) await keep(values.keep, verdicts, definitions);
  if (graphs.length === 0) return 2;
  return report.isClean ? 0 : 1;
}

type Judged = NamedGraph & { verdict: ServerVerdict };

async function verdictsOf(server: VerdictServer, graphs: NamedGraph[]): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const each of graphs) judged.push({ ...each, verdict: await server.judge(each.graph) });
  return judged;
}

async function checkOwnGraphs(server: VerdictServer, version: string): Promise<number> {
  let differences = 0;
  for (const own of await readOwnGraphs()) {
    const verdict = await server.judge(own.graph);
    const recorded = own.verdicts[version];
    if (values.record) {
      await recordVerdict(own, version, verdict);
    } else if (recorded === undefined) {
      console.log(
        `${own.name}: no verdict of ${version} is recorded; the server's verdict is ${stringifyExactJson(verdict)}`,
      );
    }
    if (recorded !== undefined && !isSame(recorded, verdict)) {
      differences += 1;
      console.log(`${own.name}: ${stringifyExactJson(verdict)} and not ${stringifyExactJson(recorded)}`);
    }
  }
  console.log(`${differences} verdicts differ from the recorded verdicts of ${version}`);
  return differences === 0 ? 0 : 1;
}

/** The order of errors is not fixed, and their details are for people. */
function isSame(one: ServerVerdict, other: ServerVerdict): boolean {
  const places = ({ errors }: ServerVerdict): string =>
    errors
      .map(({ node, input, type }) => `${node} ${input ?? ""} ${type}`)
      .sort()
      .join("\n");
  return one.accepted === other.accepted && places(one) === places(other);
}

/** Versions are recorded as 0.3.64, 0.28, …: patches of the newer scheme count as one. */
function versionName(version: string): string {
  return version.startsWith("0.3.") ? version : version.split(".").slice(0, 2).join(".");
}

async function templates(): Promise<TemplateFile[]> {
  if (values.templates !== undefined) return readTemplates(values.templates);
  const scratch = await mkdtemp(join(tmpdir(), "genga-templates-"));
  try {
    console.log((await downloadTemplates(values.package, scratch)).join(", "));
    return await readTemplates(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function keep(folder: string, judged: Judged[], definitions: unknown): Promise<void> {
  await mkdir(join(folder, "graphs"), { recursive: true });
  await writeFile(join(folder, "object_info.json"), JSON.stringify(definitions));
  const entries = judged.map(({ name, verdict }) => ({ name, kind: "original", server: verdict }));
  await writeFile(join(folder, "verdicts.json"), JSON.stringify(entries, null, 1));
  for (const { name, graph } of judged) {
    await writeFile(join(folder, "graphs", `${name}.json`), stringifyExactJson(graph));
  }
  console.log(`kept in ${folder}`);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof UnfitServerError ? error.message : error);
  process.exitCode = 2;
}
