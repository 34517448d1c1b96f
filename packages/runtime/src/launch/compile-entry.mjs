import { randomUUID } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { build, stop } from "esbuild";
import { folderOf, hashOf, mainFile, project } from "./compiled-entry.mjs";

/** A process loads its compiled form at its start, so an older form is not used any more after this long. */
const unusedAfterMs = 3_600_000;
const triesMax = 3;

/**
 * Compiles a TypeScript entry point, all sources of the project that it imports, and the packages of `inlined`, as few files of
 * JavaScript with source maps. All other packages stay where they are. Several processes may do this at the same time: each writes a
 * folder of its own, and renames it when it is complete.
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
    const { outputFiles, sources } = await bundleInstalled(entry, draft);
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

/**
 * As `bundle`, of one installation: while npm installs, the packages that were read may not be those that the hash names.
 *
 * @param {string} entry
 * @param {string} outdir
 */
async function bundleInstalled(entry, outdir) {
  for (let tries = 1; tries <= triesMax; tries += 1) {
    const installed = hashOf([]);
    const bundled = await bundle(entry, outdir);
    if (hashOf([]) === installed) return bundled;
  }
  throw new Error("Packages are being installed; nothing was compiled.");
}

/**
 * Joins an entry point and the sources of the project that it imports, and writes nothing. esbuild's own process stays until `stop`.
 *
 * @param {string} entry the path of the entry point
 * @param {string} outdir where the files are to be written
 * @returns {Promise<{ outputFiles: import("esbuild").OutputFile[], sources: Map<string, Uint8Array> }>} the files, and what was read
 */
async function bundle(entry, outdir) {
  const sources = new Map();
  const [area = "", name = ""] = relative(project, entry).split(sep);
  noteManifest(join(project, area, name), sources);
  const { outputFiles } = await build({
    ...options,
    entryPoints: [{ in: entry, out: basename(mainFile, ".mjs") }],
    outdir,
    plugins: [resolvePackages(sources), readSources(sources)],
  });
  return { outputFiles, sources };
}

/** What a source says of its own place, and the constants that it gets instead. */
const ownPlace = {
  "import.meta.url": "ownUrlOfModule",
  "import.meta.filename": "ownFilenameOfModule",
  "import.meta.dirname": "ownDirnameOfModule",
};

/** @type {import("esbuild").BuildOptions & { write: false }} */
const options = {
  bundle: true,
  // What is imported only when it is needed stays a file of its own.
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20.19",
  outExtension: { ".js": ".mjs" },
  // Node splits a module with a source map into its lines whenever it loads it.
  minifyWhitespace: true,
  // Errors of some packages are told apart by the names of their classes; several packages have an AbortError.
  keepNames: true,
  sourcemap: true,
  sourcesContent: false,
  define: ownPlace,
  // Packages that are not modules load others by it.
  banner: {
    js: 'import{createRequire as createRequireOfFile}from"node:module";const require=createRequireOfFile(import.meta.url);',
  },
  // The settings of tsconfig.json that change what is emitted.
  tsconfigRaw: { compilerOptions: { target: "ES2023", verbatimModuleSyntax: true } },
  logLevel: "silent",
  write: false,
};

/**
 * Third-party packages that are compiled as well, with all that they import: a process takes longer to load hundreds of small files
 * than a few large ones. Of some only one module, as others of the same package are large and seldom needed.
 */
const inlined = new Set([
  "@bull-board/api",
  "@bull-board/express",
  "@prisma/adapter-pg",
  "@prisma/client/runtime/client",
  "bullmq",
  "content-disposition",
  "express",
  "file-type",
  "helmet",
  "image-size",
  "ioredis",
  "ipaddr.js",
  "lru-cache",
  "mime",
  "p-retry",
  "p-timeout",
  "pg",
  "pino",
  "pino-pretty",
  "prom-client",
  "rate-limiter-flexible",
  "undici",
  "uuid",
  "ws",
  "yaml",
  "zod",
]);

/** @param {string} path that is imported, such as `@scope/name/file.js` @returns {string} `@scope/name` */
function packageOf(path) {
  return path.split("/", path.startsWith("@") ? 2 : 1).join("/");
}

/**
 * Own packages are compiled as well, and their manifests decide which file is imported, and that a module of which nothing is used is
 * left out (`sideEffects`): a worker does not load what shows Bull Board. All other packages but those of `inlined` are imported as
 * they are, unless nothing of them is used.
 */
function resolvePackages(sources) {
  return {
    name: "packages",
    setup({ onResolve }) {
      onResolve({ filter: /^[^./]/ }, ({ path, kind, importer }) => {
        if (kind === "entry-point" || importer.includes(inPackage)) return undefined;
        if (!path.startsWith("@genga/"))
          return inlined.has(packageOf(path)) || inlined.has(path)
            ? undefined
            : { path, external: true, sideEffects: false };
        noteManifest(join(project, "packages", path.split("/")[1]), sources);
        return undefined;
      });
    },
  };
}

function noteManifest(folder, sources) {
  const manifest = join(folder, "package.json");
  if (!sources.has(manifest) && existsSync(manifest)) sources.set(manifest, readFileSync(manifest));
}

/**
 * Reads the sources for esbuild, and notes what was read of the project. A module that says where it is gets the place of its source,
 * because it finds other files by it.
 */
function readSources(sources) {
  const read =
    (loader, placeOf = /./) =>
    ({ path }) => {
      if (!placeOf.test(path)) return undefined;
      const contents = readFileSync(path);
      if (!path.includes(inPackage)) sources.set(path, contents);
      if (loader === "json") return { contents, loader };
      return { contents: withOwnPlace(contents.toString(), path), loader, resolveDir: dirname(path) };
    };
  return {
    name: "sources",
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, read("ts"));
      onLoad({ filter: /\.json$/ }, read("json"));
      onLoad({ filter: /\.mjs$/ }, read("js", /^(?!.*[\\/]node_modules[\\/])/));
      onLoad({ filter: placed }, read("js"));
    },
  };
}

/** Modules of packages that say where they are. */
const placed =
  /[\\/]node_modules[\\/](bullmq[\\/]dist[\\/]cjs[\\/]classes[\\/]worker|ioredis[\\/]built[\\/](Command|utils[\\/]index)|msgpackr[\\/]dist[\\/]node|undici[\\/]index)\.c?js$/;
const inPackage = `${sep}node_modules${sep}`;

/** The constants are on the first line, so that all lines keep their numbers. */
function withOwnPlace(source, path) {
  const place = { url: pathToFileURL(path).href, filename: path, dirname: dirname(path) };
  const constants = Object.entries(place).flatMap(([name, value]) => [
    ...(source.includes(`import.meta.${name}`) ? [[ownPlace[`import.meta.${name}`], value]] : []),
    ...(path.includes(inPackage) && source.includes(`__${name}`) ? [[`__${name}`, value]] : []),
  ]);
  const lines = constants.map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
  return source.replace(/^("use strict";)?/, (strict) => strict + lines.join(""));
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
