import { execFile } from "node:child_process";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cachedFolder } from "./tool-cache.ts";

const run = promisify(execFile);

/** Prometheus' own tool, which checks and tests rules. */
export interface Promtool {
  /** Runs it to its end; returns all its output, and whether it succeeded. */
  run(args: readonly string[]): Promise<{ succeeded: boolean; said: string }>;
}

/**
 * Finds promtool: the one that `PROMTOOL_PATH` names, one on the PATH, or the one in Debian's package `prometheus`, which is
 * downloaded once and unpacked into a folder of the tests. Needs no rights of an administrator, and installs nothing.
 * @returns the reason if there is none, for the name of the skipped test
 */
export async function findPromtool(): Promise<Promtool | { readonly reason: string }> {
  const { PROMTOOL_PATH: given } = process.env;
  const failures: string[] = [];
  const ways =
    given === undefined ? [() => Promise.resolve("promtool"), debiansOwn] : [() => Promise.resolve(given)];
  for (const way of ways) {
    try {
      const path = await way();
      await run(path, ["--version"], { timeout: 30_000 });
      return { run: (args) => runTool(path, args) };
    } catch (error) {
      failures.push(error instanceof Error ? (error.message.trim().split("\n").at(-1) ?? "") : String(error));
    }
  }
  return { reason: `there is no promtool here: ${failures.join("; ").slice(0, 300)}` };
}

async function runTool(path: string, args: readonly string[]): Promise<{ succeeded: boolean; said: string }> {
  try {
    const { stdout, stderr } = await run(path, [...args], { timeout: 120_000 });
    return { succeeded: true, said: stdout + stderr };
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    return { succeeded: false, said: `${stdout}${stderr}${stdout + stderr === "" ? String(error) : ""}` };
  }
}

async function debiansOwn(): Promise<string> {
  const folder = await cachedFolder(`promtool-${process.arch}`, async (draft) => {
    const downloaded = await download(join(draft, "download"));
    await run("dpkg-deb", ["--extract", downloaded, join(draft, "package")], { timeout: 120_000 });
    await rename(join(draft, "package", "usr", "bin", "promtool"), join(draft, "promtool"));
    for (const rest of ["download", "package"]) await rm(join(draft, rest), { recursive: true });
  });
  return join(folder, "promtool");
}

/** @returns the path of the package @throws Error where there is no apt, or it has no such package */
async function download(into: string): Promise<string> {
  const lists = join(into, "lists");
  await mkdir(join(lists, "partial"), { recursive: true });
  const get = (...args: string[]): Promise<unknown> =>
    run("apt-get", ["--quiet", ...args], { cwd: into, timeout: 180_000 });
  try {
    await get("download", "prometheus");
  } catch {
    // This machine has no lists of packages, or old ones. New ones are read into a folder that goes away.
    const own = ["-o", `Dir::State::Lists=${lists}`, "-o", `Dir::Cache=${join(into, "cache")}`];
    await get(...own, "update");
    await get(...own, "download", "prometheus");
  }
  const name = (await readdir(into)).find((file) => file.endsWith(".deb"));
  if (name === undefined) throw new Error("apt-get downloaded no package");
  return join(into, name);
}
