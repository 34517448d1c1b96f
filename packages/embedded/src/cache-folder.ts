import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A folder for programs that were fetched once: the user's cache, or under the data folder where there is no home. */
export function cacheFolder(dataDir: string): string {
  for (const folder of [join(homedir(), ".cache", "genga"), join(dataDir, "cache")]) {
    try {
      mkdirSync(folder, { recursive: true });
      return folder;
    } catch {
      continue; // a service account's home may not exist or not be writable
    }
  }
  throw new Error(`neither the home folder nor ${dataDir} is writable`);
}
