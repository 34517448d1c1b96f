import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseExactJson, stringifyExactJson, workflowSchema, type Workflow } from "@genga/comfyui";
import { z } from "zod";
import { type KnownVerdict } from "./compare-verdicts.ts";
import { type ServerVerdict } from "./server-verdicts.ts";
import { verdictSchema } from "./verdict-files.ts";

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "own-graphs");

const ownGraphSchema = z.object({
  /** What the graph is to show. */
  about: z.string(),
  graph: workflowSchema,
  /** Version → what a server of that version said of it when it was recorded. */
  verdicts: z.record(z.string(), verdictSchema),
});

export interface OwnGraph {
  name: string;
  about: string;
  graph: Workflow;
  verdicts: Readonly<Record<string, KnownVerdict>>;
}

/** The project's own small set of graphs with the verdicts of real servers. */
export async function readOwnGraphs(): Promise<OwnGraph[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
  const graphs: OwnGraph[] = [];
  for (const name of names) {
    const text = await readFile(join(folder, name), "utf8");
    graphs.push({ name: basename(name, ".json"), ...ownGraphSchema.parse(parseExactJson(text)) });
  }
  return graphs;
}

/** Keeps a verdict with its graph, without its details, which may name places on the server. The file is then to be formatted. */
export async function recordVerdict(
  { name, ...own }: OwnGraph,
  version: string,
  { accepted, errors }: ServerVerdict,
): Promise<void> {
  const verdict = {
    // What was found out in other ways is kept.
    ...own.verdicts[version],
    accepted,
    errors: errors.map(({ node, input, type }) => ({ node, input, type })),
  };
  const content = { ...own, verdicts: { ...own.verdicts, [version]: verdict } };
  await writeFile(join(folder, `${name}.json`), `${stringifyExactJson(content)}\n`);
}
