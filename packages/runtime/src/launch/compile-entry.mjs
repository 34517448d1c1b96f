import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build, stop } from "esbuild";
import { folderOf, hashOf, mainFile, project } from "./compiled-entry.mjs";

/** A process loads its compiled form at its start, so an older form is not used any more after this long. */
const unusedAfterMs = 3_600_000;

/**
 * Compiles a TypeScript entry point and all sources of the project that it imports, as few files of JavaScript with source maps.
 * Third-party packages stay where they are. Several processes may do this at the same time: each writes a folder of its own,
 * and renames it when it is complete.
 *
 * @param {string} entry the path of the entry point
 * @param {string} cacheFolder
 * @returns {Promise<URL>} the compiled form of the entry point
 */
export async function compileEntry(entry, cacheFolder) {
  const folder = folderOf(entry, cacheFolder);
  const draft = join(folder, `draft-${randomUUID()}`);
  // First of all, because there is nothing to do where nothing can be written.
  mkdirSync(draft, { recursive: true });
  try {
    const sources = new Map();
    const { outputFiles } = await build({
      ...options,
      entryPoints: [{ in: entry, out: basename(mainFile, ".mjs") }],
      outdir: draft,
      plugins: [resolvePackages(sources), readSources(sources)],
    });
    // On disk before the folder has its name: a start after a power failure trusts the name.
    for (const { path, contents } of outputFiles) writeFileSync(path, contents, { flush: true });
    const sorted = [...sources].toSorted(([one], [other]) => (one < other ? -1 : 1));
    const finished = join(folder, hashOf(sorted));
    moveInto(finished, draft);
    // A process that comes between these two statements compiles once more.
    const list = join(folder, `sources-${randomUUID()}.json`);
    writeFileSync(list, JSON.stringify(sorted.map(([path]) => path)));
    renameSync(list, join(folder, "sources.json"));
    removeUnused(folder, finished);
    return pathToFileURL(join(finished, mainFile));
  } finally {
    // esbuild's own process would stay as long as this one, which may be a service.
    await stop();
    rmSync(draft, { recursive: true, force: true });
  }
}

/** @type {import("esbuild").BuildOptions & { write: false }} */
const options = {
  bundle: true,
  // What is imported only when it is needed stays a file of its own.
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20.19",
  outExtension: { ".js": ".mjs" },
  sourcemap: true,
  sourcesContent: false,
  // The settings of tsconfig.json that change what is emitted.
  tsconfigRaw: { compilerOptions: { target: "ES2023", verbatimModuleSyntax: true } },
  logLevel: "silent",
  write: false,
};

/**
 * Own packages are compiled as well, and their manifests decide which file is imported. All others are imported as they are.
 * Own modules do nothing when they are imported, so a module or package of which nothing is used is left out: a worker does
 * not load what shows Bull Board.
 */
function resolvePackages(sources) {
  const sideEffects = false;
  return {
    name: "packages",
    setup({ onResolve, resolve }) {
      onResolve({ filter: /./ }, async ({ path, kind, resolveDir, pluginData }) => {
        if (kind === "entry-point" || pluginData === "resolved") return undefined;
        const isOwn = path.startsWith("@genga/");
        if (!isOwn && !path.startsWith(".")) return { path, external: true, sideEffects };
        if (isOwn) {
          const manifest = join(project, "packages", path.split("/")[1], "package.json");
          sources.set(manifest, readFileSync(manifest));
        }
        return { ...(await resolve(path, { kind, resolveDir, pluginData: "resolved" })), sideEffects };
      });
    },
  };
}

/**
 * Reads the sources for esbuild, and notes what was read. `import.meta.url` becomes the place of the source, because the sources
 * find other files by it.
 */
function readSources(sources) {
  return {
    name: "sources",
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const source = readFileSync(path);
        sources.set(path, source);
        const own = JSON.stringify(pathToFileURL(path).href);
        return {
          contents: source.toString().replaceAll("import.meta.url", () => own),
          loader: "ts",
          resolveDir: dirname(path),
        };
      });
      onLoad({ filter: /\.json$/ }, ({ path }) => {
        const contents = readFileSync(path);
        sources.set(path, contents);
        return { contents, loader: "json" };
      });
    },
  };
}

/** Gives the draft its name, unless another process has just made the same. */
function moveInto(finished, draft) {
  try {
    renameSync(draft, finished);
  } catch (error) {
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
  }
}

/** Removes forms of earlier sources, and drafts of processes that were killed. */
function removeUnused(folder, finished) {
  for (const entry of readdirSync(folder)) {
    const path = join(folder, entry);
    if (path === finished || entry === "sources.json") continue;
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > unusedAfterMs) rmSync(path, { recursive: true, force: true });
  }
}
