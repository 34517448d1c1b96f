// Builds the pages into dist, unless they are there already. Only Node's own modules at first, because
// apps/standalone/bootstrap.mjs asks whether they are.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const marker = join(dist, ".made-from");

/** Whether the built pages belong to the sources as they are now. Without sources, as in an image, they are what there is. */
export function isBuilt() {
  if (!existsSync(marker)) return false;
  return !existsSync(join(here, "src")) || readFileSync(marker, "utf8") === madeFrom();
}

/** A reader of the old pages finds them until the new ones are complete. */
export async function buildPages() {
  const { build } = await import("vite");
  const from = madeFrom();
  const draft = join(here, `dist-${process.pid}`);
  try {
    await build({
      ...{ root: here, configFile: join(here, "vite.config.ts"), logLevel: "warn" },
      build: { outDir: draft },
    });
    writeFileSync(join(draft, ".made-from"), from);
    rmSync(dist, { recursive: true, force: true });
    renameSync(draft, dist);
  } finally {
    rmSync(draft, { recursive: true, force: true });
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
