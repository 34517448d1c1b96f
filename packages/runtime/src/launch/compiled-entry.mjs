import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** The folder of the checkout. */
export const project = join(here, "..", "..", "..", "..");
/** Where the compiled forms are kept. */
export const defaultCacheFolder = join(project, "node_modules", ".cache", "genga", "compiled");
/** The module in the folder of a compiled form that stands for the entry point. */
export const mainFile = "main.mjs";
/** What decides how sources are compiled, besides the sources: these files, and what is installed. */
const compilerFiles = [
  join(here, "compile-entry.mjs"),
  join(here, "compiled-entry.mjs"),
  join(project, "node_modules", ".package-lock.json"),
];

/**
 * Finds the compiled form of an entry point that was made from the sources as they are now. Their contents are compared,
 * by a hash of all of them, so times of files do not matter.
 *
 * @param {string} entry the path of the entry point
 * @param {string} cacheFolder
 * @returns {URL | undefined} undefined if there is none
 */
export function findCompiled(entry, cacheFolder) {
  const folder = folderOf(entry, cacheFolder);
  try {
    const sources = JSON.parse(readFileSync(join(folder, "sources.json"), "utf8"));
    const main = join(folder, hashOf(sources.map((path) => [path, readFileSync(path)])), mainFile);
    return existsSync(main) ? pathToFileURL(main) : undefined;
  } catch {
    return undefined; // it was never compiled, or a source is gone
  }
}

/**
 * The folder of an entry point's compiled forms: `sources.json`, the paths of the sources that went into the newest form, and
 * for each form a folder that is named by the hash of their contents.
 */
export function folderOf(entry, cacheFolder) {
  const path = relative(project, entry);
  const name = basename(path, ".ts");
  return join(cacheFolder, `${name}-${createHash("sha256").update(path).digest("hex").slice(0, 16)}`);
}

/**
 * @param {readonly (readonly [path: string, content: Uint8Array])[]} sources in the order of their paths
 * @returns {string} changes with the sources, with what is installed, and with the place of the project, whose path is in
 * the compiled form
 */
export function hashOf(sources) {
  const hash = createHash("sha256").update(`${project}\n`);
  const read = compilerFiles.map((path) => [path, existsSync(path) ? readFileSync(path) : ""]);
  for (const [path, content] of [...read, ...sources]) {
    hash.update(`${path}\n${content.length}\n`).update(content);
  }
  return hash.digest("hex").slice(0, 32);
}
