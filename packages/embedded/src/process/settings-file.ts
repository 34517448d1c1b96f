import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";

/**
 * The settings that an embedded server keeps from one start to the next: always its password, and its port while that
 * is free.
 */
const settingsSchema = z.object({ password: z.string().min(16), port: z.number().int().optional() });
export type Settings = z.infer<typeof settingsSchema>;

/** The settings at `path`, or new ones (not yet written) when there are none. */
export function readSettings(path: string): Settings {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return { password: randomBytes(18).toString("hex") };
  }
  return settingsSchema.parse(JSON.parse(text));
}

/** Replaces the settings in one step; only the owner may read them. */
export function writeSettings(path: string, settings: Settings): void {
  writeFileSync(`${path}.new`, JSON.stringify(settings), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
