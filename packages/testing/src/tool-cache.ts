import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const cache = join(project, "node_modules", ".cache", "genga");

/**
 * A folder that tests make once and keep, below `node_modules/.cache`; its name holds the version of what is in it. Made
 * beside its final name first: processes that make it at the same time, or die over it, leave no half of it.
 * @param make fills the folder that it is given
 */
export async function cachedFolder(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, `${name}.draft-`));
  try {
    await make(draft);
    renameSync(draft, folder);
  } catch (error) {
    // Somebody else was faster; a folder that is not empty is never replaced.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}
