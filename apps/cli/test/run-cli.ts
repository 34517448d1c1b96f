import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../bin/genga.mjs", import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly input?: string;
  readonly cwd?: string;
}

/** Runs `genga` as a process of its own, as a shell does. */
export async function genga(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run(process.execPath, [bin, ...args], options);
}

/** Runs a script in a shell that knows the command `genga`. */
export async function shell(script: string, options: RunOptions = {}): Promise<Ran> {
  const known = `genga() { "${process.execPath}" "${bin}" "$@"; }\n`;
  return run("/bin/bash", ["-euo", "pipefail", "-c", known + script], options);
}

async function run(
  command: string,
  args: readonly string[],
  { env = {}, input = "", cwd }: RunOptions,
): Promise<Ran> {
  const child = spawn(command, args, {
    env: { PATH: process.env["PATH"], HOME: "/nonexistent", ...env },
    stdio: ["pipe", "pipe", "pipe"],
    ...(cwd !== undefined && { cwd }),
  });
  child.stdin.on("error", () => undefined); // it did not read all of it
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, err };
}
