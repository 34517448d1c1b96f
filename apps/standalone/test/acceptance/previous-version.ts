import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { cachedFolder } from "@genga/testing";

const run = promisify(execFile);
const project = join(import.meta.dirname, "../../../..");

/** The commit of the version before this one, beside whose processes those of this version must be able to run. */
const commit = readFileSync(join(project, "deploy/previous-version"), "utf8").trim();

/**
 * The previous version in a folder of its own, ready to run: its sources, with the third-party packages of this version.
 * The folder is below this version's `node_modules`, where Node looks for packages that a folder has not itself.
 * @returns the reason where git does not have the commit, for the name of the skipped test
 */
export async function findPreviousVersion(): Promise<{ folder: string } | { readonly reason: string }> {
  try {
    await run("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: project });
  } catch {
    return {
      reason: `git does not have the previous version here (${commit.slice(0, 7)}; a shallow clone?)`,
    };
  }
  // What is generated depends on what is installed.
  const installed = createHash("sha256")
    .update(readFileSync(join(project, "package-lock.json")))
    .digest("hex");
  const name = `previous-version-${commit.slice(0, 12)}-${installed.slice(0, 12)}`;
  const folder = await cachedFolder(name, async (draft) => {
    await unpack(draft);
    linkOwnPackages(draft);
    await run(process.execPath, [join("prisma", "generate.mjs")], { cwd: draft, timeout: 120_000 });
  });
  return { folder };
}

async function unpack(folder: string): Promise<void> {
  const archive = spawn("git", ["archive", "--format=tar", commit], {
    cwd: project,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const tar = spawn("tar", ["-x", "-C", folder], { stdio: [archive.stdout, "ignore", "inherit"] });
  // The child has the pipe; an end of it that stays open here would be read by nobody.
  archive.stdout.destroy();
  const ends = await Promise.all([once(archive, "close"), once(tar, "close")]);
  if (ends.some(([code]) => code !== 0)) throw new Error(`cannot unpack ${commit}`);
}

/** As npm links the packages of a workspace. */
function linkOwnPackages(folder: string): void {
  const scope = join(folder, "node_modules", "@genga");
  mkdirSync(scope, { recursive: true });
  for (const parent of ["apps", "packages"])
    for (const name of readdirSync(join(folder, parent)))
      symlinkSync(join("..", "..", parent, name), join(scope, name));
}
