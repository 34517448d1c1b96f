import { GengaClient } from "@genga/client";
import { type Command } from "commander";
import { connectionOf, type Connection } from "./settings/connection.ts";
import { Terminal } from "./terminal/terminal.ts";

/** What a command works with. */
export interface CommandContext {
  readonly connection: Connection;
  readonly client: GengaClient;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C, and by the signals that end the process or its terminal. */
  readonly signal: AbortSignal;
}

/** What the process gives to its commands. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  exitWith(code: number): void;
}

/** The options that every command has. */
interface CommonOptions {
  readonly url?: string;
  readonly json?: boolean;
}

export function terminalOf(command: Command): Terminal {
  const { json = false } = command.optsWithGlobals<CommonOptions>();
  return new Terminal(process.stdout, process.stderr, json);
}

/** @throws UsageError */
export async function contextOf(command: Command, { env, signal }: Surroundings): Promise<CommandContext> {
  const connection = await connectionOf(command.optsWithGlobals<CommonOptions>(), env);
  const { url: baseUrl, key: apiKey } = connection;
  // A person waits: a few attempts, and not minutes.
  const client = new GengaClient({ baseUrl, apiKey, retries: { attemptsMax: 4, retryAfterMaxMs: 20_000 } });
  return { connection, client, terminal: terminalOf(command), signal };
}
