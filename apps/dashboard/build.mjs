// Builds the pages into dist, unless they are there already. Only Node's own modules at first, because
// apps/standalone/bootstrap.mjs asks whether they are.
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const keptMs = 7 * 24 * 3_600_000;
const marker = join(dist, ".made-from");

/** Whether the built pages belong to the sources as they are now. Without sources, as in an image, they are what there is. */
export function isBuilt() {
  if (!existsSync(marker)) return false;
  return !existsSync(join(here, "src")) || readFileSync(marker, "utf8") === madeFrom();
}

/** Readers of the old pages, and an API that serves them, find all that they need meanwhile and for some days. */
export async function buildPages() {
  const { build } = await import("vite");
  const from = madeFrom();
  const draft = join(here, `dist-${process.pid}`);
  try {
    await build({
      ...{ root: here, configFile: join(here, "vite.config.ts"), logLevel: "warn" },
      build: { outDir: draft },
    });
    mkdirSync(dist, { recursive: true });
    cpSync(join(draft, "assets"), join(dist, "assets"), { recursive: true });
    // The page names its files, so it comes after them.
    renameSync(join(draft, "index.html"), join(dist, "index.html"));
    writeFileSync(marker, from);
    removeUnused(join(dist, "assets"), new Set(readdirSync(join(draft, "assets"))));
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** A page that is open may still ask for files of earlier builds. */
function removeUnused(assets, used) {
  for (const name of readdirSync(assets)) {
    const path = join(assets, name);
    if (!used.has(name) && Date.now() - statSync(path).mtimeMs > keptMs) rmSync(path, { force: true });
  }
}

/** The sources, those of the API's client, and the versions of the libraries. */
function madeFrom() {
  const client = join(here, "..", "..", "packages", "client", "src");
  const files = [
    ...["index.html", "vite.config.ts", "build.mjs"].map((name) => join(here, name)),
    ...[join(here, "src"), join(here, "public"), client].flatMap(filesOf),
    join(here, "..", "..", "package-lock.json"),
  ];
  const hash = createHash("sha256");
  for (const file of files.toSorted()) hash.update(`${relative(here, file)}\0`).update(readFileSync(file));
  return hash.digest("hex");
}

/** The types that are generated leave nothing in the pages. */
function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.test\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes("generated"));
}

if (process.argv[1] === fileURLToPath(import.meta.url) && !isBuilt()) await buildPages();
