import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, normalize, sep } from "node:path";
import { promisify } from "node:util";
import { parseExactJson } from "@genga/comfyui";
import { z } from "zod";

/** A file of the editor, with every number as it was written. */
export interface TemplateFile {
  name: string;
  content: unknown;
}

const run = promisify(execFile);
const downloadTimeoutMs = 300_000;

/**
 * Downloads a package of official templates from PyPI (it contains only data, no code) and unpacks it.
 * @param requirement for example `comfyui-workflow-templates-json==0.1.123`
 * @returns the names of the downloaded files, which contain the version
 */
export async function downloadTemplates(requirement: string, folder: string): Promise<string[]> {
  const options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"];
  const command = ["-m", "pip", "download", ...options, "--dest", folder, requirement];
  await run("python3", command, { timeout: downloadTimeoutMs });
  const wheels = (await readdir(folder)).filter((name) => name.endsWith(".whl"));
  for (const wheel of wheels) {
    await run("python3", ["-m", "zipfile", "-e", join(folder, wheel), folder], {
      timeout: downloadTimeoutMs,
    });
  }
  return wheels;
}

/**
 * Reads every JSON file in the folder and its subfolders; files that are not the editor's are recognised when they are
 * converted.
 */
export async function readTemplates(folder: string): Promise<TemplateFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".json"))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !dirname(path).endsWith(".dist-info"))
    .sort();
  const files: TemplateFile[] = [];
  for (const path of paths) {
    files.push({ name: basename(path, ".json"), content: parseExactJson(await readFile(path, "utf8")) });
  }
  return files;
}

const modelsSchema = z.array(z.looseObject({ name: z.string(), directory: z.string() })).catch([]);
const nodeSchema = z.looseObject({
  type: z.string().catch(""),
  properties: z.looseObject({ models: modelsSchema.optional() }).catch({}),
  widgets_values: z.array(z.unknown()).catch([]),
});
const nodesSchema = z.array(nodeSchema).catch([]);
const fileSchema = z.looseObject({
  nodes: nodesSchema,
  definitions: z
    .looseObject({ subgraphs: z.array(z.looseObject({ nodes: nodesSchema })).optional() })
    .nullish()
    .catch(undefined),
});

/**
 * Makes an empty file for every model and input file that the templates name, so that a server that is started on this
 * folder (`--base-directory`) has them in its lists: without them most templates are refused for a missing file.
 * @returns the number of files
 */
export async function makeStandIns(templates: readonly TemplateFile[], folder: string): Promise<number> {
  const paths = new Set(templates.flatMap(({ content }) => filesNamedIn(content)));
  for (const path of paths) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, "", { flag: "a" });
  }
  return paths.size;
}

function filesNamedIn(content: unknown): string[] {
  const file = fileSchema.safeParse(content).data;
  const nodes = [
    ...(file?.nodes ?? []),
    ...(file?.definitions?.subgraphs ?? []).flatMap((each) => each.nodes),
  ];
  return nodes
    .flatMap(({ type, properties, widgets_values: [first] }) => [
      ...(properties.models ?? []).map(({ directory, name }) => join("models", directory, name)),
      ...(/^Load(Image|ImageMask|Video|Audio|3D)$/.test(type) && typeof first === "string"
        ? [join("input", type === "Load3D" ? join("3d", basename(first)) : first)]
        : []),
    ])
    .filter(isInside);
}

/** The names come from a foreign package, so none may lead out of the folder. */
function isInside(path: string): boolean {
  const [top, ...rest] = normalize(path).split(sep);
  return (
    (top === "models" || top === "input") && rest.length > 0 && !path.includes("\0") && /\.\w+$/.test(path)
  );
}
