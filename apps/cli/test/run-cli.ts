import { type ChildProcess, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect } from "@jest/globals";
import { z } from "zod";

const bin = fileURLToPath(new URL("../bin/genga.mjs", import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
}

/** Runs `genga` as a process of its own, as a shell does. */
export async function genga(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return start(args, options).ended;
}

/** The same, for a test that does something to it meanwhile. */
export function start(
  args: readonly string[],
  options: RunOptions = {},
): { child: ChildProcess; ended: Promise<Ran> } {
  return run(process.execPath, [bin, ...args], options);
}

/** On a terminal, on which somebody presses keys at the question for the key. Standard output and error are one there. */
export async function gengaOnTerminal(
  args: readonly string[],
  keys: string,
  options: RunOptions = {},
): Promise<Ran> {
  return run("python3", ["-c", terminal, keys, process.execPath, bin, ...args], options).ended;
}

const terminal = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said, pressed = b"", False
while True:
    try:
        data = os.read(terminal, 1024)
    except OSError:
        break
    if not data:
        break
    said += data
    if b"API key:" in said and not pressed:
        os.write(terminal, sys.argv[1].encode())
        pressed = True
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(said)
sys.stdout.flush()
os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 255)
`;

/** Runs a script in a shell that knows the command `genga`. */
export async function shell(script: string, options: RunOptions = {}): Promise<Ran> {
  const known = `genga() { "${process.execPath}" "${bin}" "$@"; }\n`;
  return run("/bin/bash", ["-euo", "pipefail", "-c", known + script], options).ended;
}

/** What a command with `--json` said that ended well. */
export function json<Shape>(ran: Ran, shape: z.ZodType<Shape>): Shape {
  expect(ran).toMatchObject({ code: 0 });
  return shape.parse(JSON.parse(ran.out));
}

export const withId = z.looseObject({ id: z.string() });

/** A workflow that makes a small picture at once. */
export function graph(color: number | string, prefix = "x"): string {
  return `{"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": ${color}}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "${prefix}"}}}`;
}

function run(
  command: string,
  args: readonly string[],
  { env = {}, input = "", cwd }: RunOptions,
): { child: ChildProcess; ended: Promise<Ran> } {
  const child = spawn(command, args, {
    env: { PATH: process.env["PATH"], HOME: "/nonexistent", ...env },
    stdio: ["pipe", "pipe", "pipe"],
    // One that hangs ends before its test does.
    ...{ timeout: 120_000, killSignal: "SIGKILL" },
    ...(cwd !== undefined && { cwd }),
  });
  child.stdin.on("error", () => undefined); // it did not read all of it
  child.stdin.end(input);
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  const ended = Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { child, ended: ended.then(([out, err, code]) => ({ code, out, err })) };
}
