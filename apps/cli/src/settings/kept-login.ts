import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import envPaths from "env-paths";
import { z } from "zod";
import { UsageError } from "../terminal/exit-codes.ts";
import { settingOf } from "./environment.ts";

const loginSchema = z.object({ url: z.url(), key: z.string().min(1).optional() });

/** What `genga login` keeps: an API's address, and the key for it. */
export type KeptLogin = z.infer<typeof loginSchema>;

/** In the user's folder for settings, unless GENGA_CONFIG names a file. */
export function loginPath(env: NodeJS.ProcessEnv): string {
  return settingOf(env, "GENGA_CONFIG") ?? join(envPaths("genga", { suffix: "" }).config, "login.json");
}

/**
 * @returns null if there is none
 * @throws UsageError if others may read it, or if it cannot be read or is damaged
 */
export async function readLogin(path: string): Promise<KeptLogin | null> {
  let text: string;
  let mode: number;
  try {
    text = await readFile(path, "utf8");
    mode = (await stat(path)).mode;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw new UsageError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  // As ssh does: a key that others could read is not used as if nothing were wrong.
  if (process.platform !== "win32" && (mode & 0o077) !== 0)
    throw new UsageError(`${path} can be read by other users, and holds a key: chmod 600 ${path}`);
  try {
    return loginSchema.parse(JSON.parse(text));
  } catch {
    throw new UsageError(`${path} is damaged; \`genga login\` writes it anew.`);
  }
}

/** Replaces the file as a whole; only its owner may read it, from its first byte on. */
export async function writeLogin(path: string, login: KeptLogin): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${randomUUID()}`;
  // "wx": never into a file, or through a link, that somebody else has put there.
  const file = await open(next, "wx", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(login, null, 2)}\n`);
    await file.close();
    await rename(next, path);
  } catch (error) {
    await file.close();
    await rm(next, { force: true });
    throw error;
  }
}

export async function removeLogin(path: string): Promise<void> {
  await rm(path, { force: true });
}
