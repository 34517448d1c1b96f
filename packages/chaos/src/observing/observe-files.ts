import { readdir } from "node:fs/promises";
import { relative } from "node:path";
import { type OrphanedFile } from "../history/history.ts";

/** All stored files that belong to no output. @param named storage keys of all outputs */
export async function findOrphans(
  outputFolder: string,
  named: ReadonlySet<string>,
): Promise<{ orphans: OrphanedFile[]; partialFiles: number }> {
  const entries = await readdir(outputFolder, { recursive: true, withFileTypes: true }).catch(() => []);
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${relative(outputFolder, entry.parentPath)}/${entry.name}`);
  const isPartial = (name: string): boolean => name.startsWith(".partial/");
  return {
    orphans: names.filter((name) => !isPartial(name) && !named.has(name)).map(orphanOf),
    partialFiles: names.filter(isPartial).length,
  };
}

/** `jobs/<job>/<attempt>-<lease>/<index>-<name>` */
function orphanOf(name: string): OrphanedFile {
  const { job, attempt, lease } =
    /^jobs\/(?<job>[^/]+)\/(?<attempt>\d+)-(?<lease>\d+)\//.exec(name)?.groups ?? {};
  return { name, jobId: job ?? "", attempt: Number(attempt), leaseNumber: Number(lease) };
}
