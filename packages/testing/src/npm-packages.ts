import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cachedFolder } from "./tool-cache.ts";

const run = promisify(execFile);

/**
 * Installs packages from npm into a folder of their own, once for each set of them; their scripts are not run.
 * @param packages names with exact versions
 * @returns the folder, in which programs can import them, or the reason if they cannot be installed, for the name of the
 * skipped test
 */
export async function findNpmPackages(
  name: string,
  packages: Readonly<Record<string, string>>,
): Promise<{ readonly folder: string } | { readonly reason: string }> {
  const wanted = JSON.stringify({ private: true, type: "module", dependencies: packages });
  const hash = createHash("sha256").update(wanted).digest("hex").slice(0, 12);
  try {
    const folder = await cachedFolder(`${name}-${hash}`, async (draft) => {
      await writeFile(join(draft, "package.json"), wanted);
      // Above this folder is a project that must stay as it is.
      const quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"];
      const soon = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"];
      await run("npm", ["install", "--prefix", draft, ...quiet, ...soon], { cwd: draft, timeout: 180_000 });
    });
    return { folder };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // The last lines only say where npm keeps its log.
    const lines = message.split("\n").filter((line) => /^npm error (?!A complete log)\S/.test(line));
    const said = (lines.find((line) => line.includes("reason")) ?? lines[0] ?? message).slice(0, 200);
    return { reason: `${Object.keys(packages).join(", ")} of npm cannot be installed: ${said}` };
  }
}

/** The Node version that programs are run by if this process has an older one. */
const nodeVersion = "22.23.3";

/**
 * Finds a Node of version 22 or newer: this process's own, or the one that npm has in the packages of `node`.
 * @returns the path of the program, or the reason if there is none
 */
export async function findNode22(): Promise<{ readonly path: string } | { readonly reason: string }> {
  if (Number(process.versions.node.split(".")[0]) >= 22) return { path: process.execPath };
  const packageName = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  const found = await findNpmPackages("node-22", { [packageName]: nodeVersion });
  if ("reason" in found) return found;
  return { path: join(found.folder, "node_modules", packageName, "bin", "node") };
}
