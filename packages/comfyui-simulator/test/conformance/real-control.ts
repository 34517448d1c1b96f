import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type SignalName } from "./notes.ts";

const run = promisify(execFile);

/** Long enough for a server to load its nodes on a busy machine. */
const controlMsMax = 180_000;

/**
 * A program of the user's that does to a real server what was done to the recorded one. It is called as
 * `PROGRAM restart [arguments of main.py]`, which ends when a fresh server with the same folders answers at the same
 * address, and as `PROGRAM signal KILL|TERM|INT|STOP|CONT`.
 */
export class RealControl {
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  async restart(args: readonly string[] = []): Promise<void> {
    await this.#call(["restart", ...args]);
  }

  async signal(name: SignalName): Promise<void> {
    await this.#call(["signal", name]);
  }

  async #call(args: readonly string[]): Promise<void> {
    await run(this.#program, args, { timeout: controlMsMax });
  }
}
