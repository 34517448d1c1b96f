import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { migrate } from "@genga/database";
import { createTestDatabase, startStack, type Stack, type TestDatabase } from "@genga/testing";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { shell } from "./run-cli.ts";

// The commands of docs/terminal.md, in one shell, with what they say.

let database: TestDatabase;
let stack: Stack;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url });
  folder = await mkdtemp(join(tmpdir(), "genga-transcript-"));
}, 180_000);
afterAll(async () => {
  await stack.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

interface Step {
  readonly command: string;
  readonly said: string;
}

/** What stands behind `$` is a command, what follows is what it says; `…` stands for anything. */
function stepsOf(text: string): Step[] {
  const blocks = [...text.matchAll(/```console\n([\s\S]*?)```/g)].map(([, block]) => block ?? "");
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [command = "", ...said] = part.split("\n");
        return { command, said: said.join("\n").trim() };
      }),
  );
}

function patternOf(said: string): RegExp {
  return new RegExp(`^${said.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("…", "[\\s\\S]*?")}$`);
}

const between = "==== next command ====";
// jq is not on every machine; the documentation uses it for this one thing.
const jq = `command -v jq > /dev/null || jq() { node -e 'console.log(JSON.parse(require("fs").readFileSync(0, "utf8")).jobs[0].prompt)'; }`;

test("the transcript of the documentation is what happens", async () => {
  const docs = fileURLToPath(new URL("../../../docs/terminal.md", import.meta.url));
  const steps = stepsOf(await readFile(docs, "utf8"));
  expect(steps.length).toBeGreaterThan(8);
  const script = steps.map(({ command }) => `${command}\necho '${between}'`).join("\n");
  const env = { GENGA_URL: stack.url, GENGA_CONFIG: join(folder, "login.json") };
  const ran = await shell(`exec 2>&1\n${jq}\n${script}`, { env, cwd: folder });
  const said = ran.out.split(`${between}\n`).map((part) => part.trim());
  expect(said).toHaveLength(steps.length + 1);
  steps.forEach(({ command, said: expected }, at) => {
    // Of a watch, what it says last: how often a state is seen on the way is chance.
    const actual = command.startsWith("genga watch") ? said[at]!.split("\n").at(-1)! : said[at]!;
    expect(`$ ${command}\n${actual}`).toMatch(new RegExp(`\\n${patternOf(expected).source.slice(1)}`));
  });
}, 180_000);
