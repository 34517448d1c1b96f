import { execFile } from "node:child_process";

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

export interface CommandResult {
  readonly succeeded: boolean;
  readonly stdout: string;
  /** For messages: the program's standard error, or the reason why it could not run. */
  readonly complaint: string;
}

/** Runs a program to its end. A failure is a result, not an exception; only an abort throws. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const { timeoutMs, signal, ...rest } = options;
  const result = await new Promise<CommandResult>((resolve) => {
    const settings = { ...rest, ...(signal && { signal }), timeout: timeoutMs, maxBuffer: 4 * 1024 * 1024 };
    execFile(program, args, settings, (error, stdout, stderr) => {
      resolve({ succeeded: error === null, stdout, complaint: stderr.trim() || (error?.message ?? "") });
    });
  });
  signal?.throwIfAborted();
  return result;
}
