// Whether the generated types of the client belong to the sources as they are. Only Node's own modules, because
// apps/standalone/bootstrap.mjs asks this.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultCacheFolder, findCompiled, project } from "../runtime/src/launch/compiled-entry.mjs";

const here = dirname(fileURLToPath(import.meta.url));

/** Prints the OpenAPI document. */
export const entry = join(project, "apps", "api", "src", "describe-main.ts");
export const launcher = join(project, "packages", "runtime", "src", "launch", "launch.mjs");
export const generatedFolder = join(here, "src", "generated");
export const typesFile = join(generatedFolder, "api.ts");
const marker = join(generatedFolder, ".made-from");

/** Whether the types were made from the sources as they are now: those of the document, and the generator. */
export function isCurrent() {
  return existsSync(marker) && existsSync(typesFile) && readFileSync(marker, "utf8") === madeFrom();
}

/** Notes that the types were made from the sources as they are now. */
export function markCurrent() {
  const from = madeFrom();
  if (from !== undefined) writeFileSync(marker, from);
}

/** The compiled form of the entry is named by the contents of all sources that it imports, and by what is installed. */
function madeFrom() {
  const compiled = findCompiled(entry, defaultCacheFolder);
  if (compiled === undefined) return undefined;
  const generator = readFileSync(join(here, "generate.mjs"));
  return createHash("sha256").update(compiled.href).update(generator).digest("hex");
}
