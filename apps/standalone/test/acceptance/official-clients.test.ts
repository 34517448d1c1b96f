import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { migrate } from "@genga/database";
import {
  createTestDatabase,
  findNode22,
  findNpmPackages,
  findPythonTool,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import sharp from "sharp";

// The official clients of the Comfy API v2, as their registries have them, on a Genga with a simulated server.

const fixtures = fileURLToPath(new URL("../fixtures/official-clients", import.meta.url));
const docs = fileURLToPath(new URL("../../../../docs/clients.md", import.meta.url));
const apiKey = "key-of-a-client-00000";
const requirements = join(fixtures, "requirements.txt");
const [node, npm, python] = await Promise.all([
  findNode22(),
  findNpmPackages("comfyorg-sdk", { "@comfyorg/sdk": "0.1.9" }),
  findPythonTool({ name: "comfy-sdk", requirements, script: join(fixtures, "tour.py") }),
]);
const pythonRun = await findPythonTool({ name: "comfy-sdk", requirements, script: join(fixtures, "run.py") });

let database: TestDatabase;
let stack: Stack;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url, env: { API_KEYS: `studio:submit:${apiKey}` } });
  folder = await mkdtemp(join(tmpdir(), "genga-official-clients-"));
  const background = { r: 4, g: 120, b: 200 };
  const photo = sharp({ create: { width: 48, height: 32, channels: 3, background } });
  await writeFile(join(folder, "photo.png"), await photo.png().toBuffer());
  for (const name of ["run.mjs", "tour.mjs", "workflow_api.json"])
    await copyFile(join(fixtures, name), join(folder, name));
  if ("folder" in npm) await symlink(join(npm.folder, "node_modules"), join(folder, "node_modules"));
}, 180_000);
afterAll(async () => {
  await stack.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

const env = (): Record<string, string> => ({ COMFY_BASE_URL: stack.url, GENGA_API_KEY: apiKey });

/** What a program of `@comfyorg/sdk` says; its errors are those of the test. */
async function saidByNode(script: string): Promise<string> {
  if ("reason" in node) throw new Error(node.reason);
  return await new Promise((resolve, reject) => {
    const options = { cwd: folder, env: { ...process.env, ...env() }, timeout: 150_000 };
    execFile(node.path, [script], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${script}: ${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

/** What a program of `comfy-sdk` says. */
async function saidByPython(tool: typeof python): Promise<string> {
  if ("reason" in tool) throw new Error(tool.reason);
  const { code, said } = await tool.run([], { cwd: folder, env: env() });
  if (code !== 0) throw new Error(said);
  return said;
}

/** The steps that both tours go through; each throws an error where something is not as it should be. */
const steps = [
  "uploaded once, found by its hash",
  "run, and downloaded whole, in part and by its URL",
  "found again with its workflow",
  "an output is the input of the next job",
  "watched: states, progress, previews, outputs",
  "cancelled while it ran",
  "a failure names its node",
  "refused with the errors of the contract",
];
/** The asynchronous client for Python complains about itself at its end. */
const stepsIn = (said: string): string[] => [...said.matchAll(/^done: (.*)$/gm)].map(([, step]) => step!);

const missingForNode = "reason" in node ? node.reason : "reason" in npm ? npm.reason : undefined;
const skippedForNode = missingForNode === undefined ? "" : ` (skipped: ${missingForNode})`;
const describedForNode = missingForNode === undefined ? describe : describe.skip;

describedForNode(`@comfyorg/sdk, unchanged${skippedForNode}`, () => {
  test("makes its whole tour", async () => {
    expect(stepsIn(await saidByNode("tour.mjs"))).toEqual(steps);
  }, 180_000);

  test("runs the example of the documentation, which says what is said there", async () => {
    expect(await readFile(docs, "utf8")).toContain(
      `\`\`\`js\n${await readFile(join(folder, "run.mjs"), "utf8")}\`\`\``,
    );
    expect(await saidByNode("run.mjs")).toMatch(await transcriptOf("node run.mjs"));
  }, 180_000);
});

const skippedForPython = "reason" in python ? ` (skipped: ${python.reason})` : "";
const describedForPython = "reason" in python ? describe.skip : describe;

describedForPython(`comfy-sdk, unchanged${skippedForPython}`, () => {
  test("makes its whole tour", async () => {
    expect(stepsIn(await saidByPython(python))).toEqual([
      ...steps,
      "listed, page by page",
      "the same by the asynchronous client",
    ]);
  }, 180_000);

  test("runs the example of the documentation, which says what is said there", async () => {
    const shown = await readFile(join(fixtures, "run.py"), "utf8");
    expect(await readFile(docs, "utf8")).toContain(`\`\`\`python\n${shown}\`\`\``);
    expect(await saidByPython(pythonRun)).toMatch(await transcriptOf("python3 run.py"));
  }, 180_000);
});

/**
 * What the documentation says that a command says; `…` stands for anything. States before the last one come as often as the
 * client sees them: not at all if the job is quick, and again if its place in the queue changes.
 */
async function transcriptOf(command: string): Promise<RegExp> {
  const blocks = [...(await readFile(docs, "utf8")).matchAll(/```console\n([\s\S]*?)```/g)];
  const parts = blocks.flatMap(([, block = ""]) => block.split(/^\$ /m).slice(1));
  const [said] = parts.flatMap((part) => {
    const [given = "", ...lines] = part.split("\n");
    return given.endsWith(command) ? [lines.join("\n").trim()] : [];
  });
  if (said === undefined) throw new Error(`docs/clients.md has no transcript of ${command}`);
  const escaped = said.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("…", "[\\s\\S]*?");
  return new RegExp(`^${escaped.replace(/^(queued|running)\n/gm, "(?:$1\\n)*")}\\n$`);
}
