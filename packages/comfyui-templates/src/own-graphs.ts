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
  /** The purpose of the graph. */
  about: z.string(),
  graph: workflowSchema,
  /** Version → the recorded verdict of a server of that version. */
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

/**
 * Writes a verdict into the file of its graph, without the details, which may name paths on the server. Format the file
 * afterwards.
 */
export async function recordVerdict(
  { name, ...own }: OwnGraph,
  version: string,
  { accepted, errors }: ServerVerdict,
): Promise<void> {
  const verdict = {
    // Facts that were found in other ways are kept.
    ...own.verdicts[version],
    accepted,
    errors: errors.map(({ node, input, type }) => ({ node, input, type })),
  };
  const content = { ...own, verdicts: { ...own.verdicts, [version]: verdict } };
  await writeFile(join(folder, `${name}.json`), `${stringifyExactJson(content)}\n`);
}
