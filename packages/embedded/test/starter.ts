import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import pg from "pg";
import { launcher } from "@genga/testing";
import { z } from "zod";

const readySchema = z.object({ databaseUrl: z.string(), redisUrl: z.string(), uid: z.number() });

/** Another process that starts both services in a folder, as a user of this package would. */
export interface Starter {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** Rejects with all its output if it ends without having started. */
  readonly ready: Promise<z.infer<typeof readySchema>>;
  readonly exited: Promise<number | null>;
  /** Resolves with the first line, past or future, that contains the text. */
  lineWith(text: string): Promise<string>;
}

export function launchStarter(dataDir: string, account: { uid?: number; gid?: number } = {}): Starter {
  const fixture = fileURLToPath(new URL("fixtures/keep-services.ts", import.meta.url));
  const child = spawn(process.execPath, [launcher, fixture, dataDir], {
    ...account,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const waiting: { text: string; resolve: (line: string) => void }[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      for (const { text, resolve } of waiting) if (line.includes(text)) resolve(line);
    });
  }
  const lineWith = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const seen = lines.find((line) => line.includes(text));
      if (seen === undefined) waiting.push({ text, resolve });
      else resolve(seen);
    });
  const exited = Promise.all([
    once(child, "exit"),
    once(child.stdout, "end"),
    once(child.stderr, "end"),
  ]).then(() => child.exitCode);
  const ended = exited.then((code) => {
    throw new Error(`ended with ${code ?? "a signal"} before it was ready:\n${lines.join("\n")}`);
  });
  const ready = Promise.race([lineWith('{"databaseUrl"'), ended]).then((line) =>
    readySchema.parse(JSON.parse(line)),
  );
  ready.catch(() => undefined);
  return { child, lines, ready, exited, lineWith };
}

/** A new folder that every user may enter. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "genga-embedded-"));
  chmodSync(folder, 0o755);
  return folder;
}

export async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

export async function redis(url: string, ...command: [string, ...string[]]): Promise<unknown> {
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 20 });
  client.on("error", () => undefined); // reported by the command
  try {
    const [name, ...args] = command;
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}
