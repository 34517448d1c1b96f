import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { EmbeddedServiceError } from "./embedded-service-error.ts";

/**
 * A folder for downloaded programs: `.cache/genga` in the first of these folders in which it can be created. A service
 * account's home may not exist or not be writable.
 */
export function cacheFolder(homes: readonly string[]): string {
  for (const home of homes) {
    const folder = join(home, ".cache", "genga");
    try {
      mkdirSync(folder, { recursive: true });
      return folder;
    } catch {
      continue;
    }
  }
  throw new EmbeddedServiceError(
    "PROGRAM_UNAVAILABLE",
    `None of these can be written to: ${homes.join(", ")}`,
  );
}
