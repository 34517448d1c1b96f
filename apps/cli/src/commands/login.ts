import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import { text as textOf } from "node:stream/consumers";
import { addAbortSignal, Writable } from "node:stream";
import { GengaClient, GengaError } from "@genga/client";
import { type Command } from "commander";
import { contextOf, type Surroundings, terminalOf } from "../command-context.ts";
import { addressOf, checkedKey, checkedUrl } from "../settings/connection.ts";
import { loginPath, removeLogin, writeLogin } from "../settings/kept-login.ts";
import { ForeignAnswerError, UsageError } from "../terminal/exit-codes.ts";
import { factsOf } from "../terminal/table.ts";
import { safeText } from "../terminal/safe-text.ts";

/** `login`, `logout` and `whoami`. */
export function addLogin(program: Command, surroundings: Surroundings): void {
  const { env, signal } = surroundings;
  program
    .command("login")
    .description("keep an API's address and a key, for this user of this machine alone")
    .argument("[url]", "of the API, such as https://genga.example")
    .addHelpText(
      "after",
      `
The key is asked for, or is the first line of standard input where that is no terminal:
  genga login https://genga.example
  pass show genga | genga login https://genga.example`,
    )
    .action(async (given: string | undefined, _options: unknown, command: Command) => {
      const terminal = terminalOf(command);
      const { url: chosen } = command.optsWithGlobals<{ url?: string }>();
      const url = given === undefined ? await addressOf({ url: chosen }, env) : checkedUrl(given);
      const session = await sessionOf(url, undefined, signal);
      const { needsKey } = session;
      if (needsKey && url.startsWith("http:") && !isLoopback(url))
        terminal.note("warning: with http:// the key travels where others can read it.");
      const key = needsKey ? await readKey(signal) : undefined;
      const who = key === undefined ? session : await sessionOf(url, key, signal);
      requireKnown(who);
      const path = loginPath(env);
      await writeLogin(path, key === undefined ? { url } : { url, key });
      terminal.result({ url, tenant: who.tenant, role: who.role, path }, () => [
        safeText(
          `${url}${key === undefined ? ", which asks for no key" : `, tenant ${who.tenant ?? ""}, ${who.role ?? ""}`}`,
        ),
        safeText(`kept in ${path}`),
      ]);
    });
  program
    .command("logout")
    .description("forget the address and the key")
    .action(async (_options: unknown, command: Command) => {
      await removeLogin(loginPath(env));
      terminalOf(command).result({}, () => ["forgotten"]);
    });
  program
    .command("whoami")
    .description("say which API is used, and as whom")
    .action(async (_options: unknown, command: Command) => {
      const { client, connection, terminal } = await contextOf(command, surroundings);
      const session = await askSession(client, signal);
      requireKnown(session);
      terminal.result({ url: connection.url, ...session }, () =>
        factsOf([
          ["api", connection.url],
          ["tenant", session.tenant],
          ["role", session.role],
          ["key", session.keyName],
        ]),
      );
    });
}

interface Session {
  readonly tenant: string | null;
  readonly role: string | null;
  readonly keyName: string | null;
  readonly needsKey: boolean;
}

function sessionOf(url: string, key: string | undefined, signal: AbortSignal): Promise<Session> {
  return askSession(new GengaClient({ baseUrl: url, apiKey: key, retries: { attemptsMax: 2 } }), signal);
}

/** @throws ForeignAnswerError if something else than Genga answers */
async function askSession(client: GengaClient, signal: AbortSignal): Promise<Session> {
  const { data } = await client.http.GET("/api/anime/session", { signal });
  if (typeof data?.needsKey !== "boolean") throw new ForeignAnswerError();
  return data;
}

/** The route answers everybody. @throws GengaError if the API asks for a key and does not know this one */
function requireKnown({ role, needsKey }: Session): void {
  if (!needsKey || role !== null) return;
  throw new GengaError({
    ...{ status: 401, code: "unauthorized", title: "The API key is not valid" },
    detail: "The API does not know this key, or it was revoked.",
  });
}

function isLoopback(url: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);
}

/** Without an echo on a terminal. Password managers have the password in the first line, and notes behind it. */
async function readKey(signal: AbortSignal): Promise<string> {
  const text = process.stdin.isTTY
    ? await askForKey(signal)
    : await textOf(addAbortSignal(signal, process.stdin));
  const [line = ""] = text.split(/\r?\n/);
  if (line.trim() === "") throw new UsageError("no key was given.");
  return checkedKey(line, "What was given");
}

async function askForKey(signal: AbortSignal): Promise<string> {
  const nowhere = new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  // Only now, when the terminal echoes nothing any more.
  process.stderr.write("API key: ");
  // It takes the key press; to the program it is Ctrl-C as anywhere else.
  lines.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  // Ctrl-D closes it; the question then fails, or is never answered, as the version of Node has it.
  const closed = once(lines, "close").then(() => "");
  const answer = lines.question("", { signal }).catch((error: unknown) => {
    if (signal.aborted) throw error;
    return "";
  });
  try {
    return await Promise.race([answer, closed]);
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
