import { link, rename, rm, stat } from "node:fs/promises";
import { numbered } from "./file-names.ts";

/** Gives a whole file its name, or the first number of it that is free. @returns the path */
export async function takeFreeName(part: string, path: string): Promise<string> {
  for (let count = 1; ; count += 1) {
    const candidate = numbered(path, count);
    if ((await sizeOf(candidate)) !== undefined) continue;
    if (await takeName(part, candidate)) return candidate;
    if ((await sizeOf(part)) === undefined) throw new Error(`${part} was removed meanwhile.`);
  }
}

/** @returns false if another file has the name meanwhile, or there is no such part any more */
export async function takeName(part: string, path: string): Promise<boolean> {
  try {
    // Unlike a rename, it replaces nothing.
    await link(part, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOENT") return false;
    // Some file systems have no links.
    await rename(part, path);
    return true;
  }
  await rm(part);
  return true;
}

export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}
