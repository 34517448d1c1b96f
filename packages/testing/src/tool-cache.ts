import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const cache = join(project, "node_modules", ".cache", "genga");

/**
 * A folder that tests fill once and keep, below `node_modules/.cache`; its name contains the version of its content. It
 * is filled under a temporary name first, so that processes which do so at the same time, or die, leave no incomplete
 * folder.
 * @param make fills the folder at the path that it is given
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
    // Another process was faster; a folder that is not empty is never replaced.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}
