import { randomBytes } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The SECRETS_KEY of a machine that runs everything by itself: made once, and kept in a file of the data folder that
 * only its owner can read. The key is written to another file and then linked, so that a start that dies in between
 * leaves no half-written key, and two starts at once get the same key.
 */
export function ownSecretsKey(dataDir: string): string {
  const file = join(dataDir, "secrets-key");
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, `${randomBytes(32).toString("base64")}\n`, { mode: 0o600, flag: "w" });
    try {
      linkSync(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      rmSync(draft, { force: true });
    }
  }
  return readFileSync(file, "utf8").trim();
}
