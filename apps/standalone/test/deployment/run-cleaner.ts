import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Container } from "./manifests.ts";

/** Runs the sidecar's own script on folders of this machine, until it sleeps. */
export async function runCleaner(
  cleaner: Container,
  minutes: Record<string, number>,
): Promise<{ kept: string[]; expected: string[] }> {
  const scratch = await mkdtemp(join(tmpdir(), "genga-scratch-"));
  const older = (kind: string): Date => new Date(Date.now() - (minutes[kind]! + 5) * 60_000);
  const younger = (kind: string): Date => new Date(Date.now() - (minutes[kind]! - 5) * 60_000);
  const files = [
    { path: "output/genga/ab/old.png", time: older("OUTPUT_MINUTES"), stays: false },
    { path: "output/genga/ab/young.png", time: younger("OUTPUT_MINUTES"), stays: true },
    { path: "output/by hand.png", time: older("INPUT_MINUTES"), stays: true },
    { path: "input/genga/cd/old.png", time: older("INPUT_MINUTES"), stays: false },
    { path: "input/genga/cd/young.png", time: younger("INPUT_MINUTES"), stays: true },
  ];
  for (const { path, time } of files) {
    await mkdir(join(scratch, path, ".."), { recursive: true });
    await writeFile(join(scratch, path), "");
    await utimes(join(scratch, path), time, time);
  }
  const [shell, flag, script] = cleaner.command!;
  // The first sleep ends the script instead, by the signal that ends the container.
  const once = `sleep() { kill -TERM $$; }\n${script!.replaceAll("/scratch", scratch)}`;
  const env = Object.fromEntries(Object.entries(minutes).map(([name, value]) => [name, String(value)]));
  await promisify(execFile)(shell!, [flag!, once], { env: { PATH: process.env["PATH"], ...env } });
  const kept = files.filter(({ path }) => existsSync(join(scratch, path)));
  await rm(scratch, { recursive: true });
  const pathsOf = (some: typeof files): string[] => some.map(({ path }) => path);
  return { kept: pathsOf(kept), expected: pathsOf(files.filter(({ stays }) => stays)) };
}
