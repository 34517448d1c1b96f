import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import {
  createTestDatabase,
  findNpmPackages,
  findPythonTool,
  quickSimulator,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";

// Clients of ComfyUI's protocol, as their registries have them, on the door with two servers, while a worker is killed;
// `npm run bench:clients` does the same at length.

const fixtures = fileURLToPath(new URL("../../fixtures/public-clients", import.meta.url));
const [npm, python] = await Promise.all([
  findNpmPackages("comfyui-clients", {
    ...{ "@saintno/comfyui-sdk": "0.3.1", "@stable-canvas/comfyui-client": "1.5.9", ws: "8.20.0" },
  }),
  findPythonTool({
    name: "comfy-api-simplified",
    requirements: join(fixtures, "requirements.txt"),
    script: join(fixtures, "run.py"),
  }),
]);
const jobsOfEach = 5;
const clients = [
  ...("reason" in npm ? [] : ["@stable-canvas/comfyui-client", "@saintno/comfyui-sdk"]),
  ...("reason" in python ? [] : ["comfy-api-simplified"]),
];
const reasons = [npm, python].flatMap((found) => ("reason" in found ? [found.reason] : []));

let database: TestDatabase;
let stack: Stack;
let folder: string;

beforeAll(async () => {
  if (clients.length === 0) return;
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({
    ...{ databaseUrl: database.url, simulators: 2, workers: 2, simulatorArgs: quickSimulator },
    env: { COMFYUI_DOOR_PORT: "0", LEASE_MS: "1500" },
  });
  folder = await mkdtemp(join(tmpdir(), "genga-public-clients-"));
  await copyFile(join(fixtures, "run.mjs"), join(folder, "run.mjs"));
  if ("folder" in npm) await symlink(join(npm.folder, "node_modules"), join(folder, "node_modules"));
}, 180_000);
afterAll(async () => {
  if (clients.length === 0) return;
  await stack.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

let color = 0;
function someGraphs(): Workflow[] {
  return Array.from({ length: jobsOfEach }, () => {
    color += 1;
    const sleep = { image: ["1", 0], seconds: 0.2, steps: 4, preview: "none", seed: color };
    const nodes = {
      EmptyImage: { width: 64, height: 64, batch_size: 1, color },
      ProtoSleep: sleep,
      SaveImage: { images: ["2", 0], filename_prefix: "client" },
    };
    return Object.fromEntries(
      Object.entries(nodes).map(([name, inputs], index) => [
        String(index + 1),
        { class_type: name, inputs, _meta: { title: name } },
      ]),
    );
  });
}

function saidByNode(url: string): Promise<string> {
  const args = ["run.mjs", url, JSON.stringify([someGraphs(), someGraphs()])];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: folder, timeout: 150_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

async function saidByPython(url: string): Promise<string> {
  if ("reason" in python) return "";
  const { said } = await python.run([url, JSON.stringify(someGraphs())]);
  return said;
}

/** The door knows the servers as soon as the workers have read their definitions. */
async function untilServing(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/object_info/ProtoSleep`);
    if ((await answer.text()).trim() !== "{}") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function executions(): Promise<number> {
  return (await Promise.all(stack.simulators.map((simulator) => simulator.executions()))).flat().length;
}

const tested = clients.length === 0 ? test.skip : test;
const skipped = reasons.length === 0 ? "" : ` (left out: ${reasons.join("; ")})`;

tested(
  `public clients, unchanged, get every picture although a worker is killed${skipped}`,
  async () => {
    const url = String(stack.apis[0]!.details["doorUrl"]);
    await untilServing(url);
    const saying = Promise.all(["reason" in npm ? "" : saidByNode(url), saidByPython(url)]);
    while ((await executions()) < clients.length * 2) await new Promise((resolve) => setTimeout(resolve, 20));
    stack.workers[0]!.signal("SIGKILL");
    await stack.startWorker();
    const lines = (await saying).flatMap((said) => said.split("\n")).filter((line) => line !== "");
    const expected = clients.flatMap((name) => Array.from({ length: jobsOfEach }, () => `done: ${name}`));
    expect(lines.toSorted()).toEqual(expected.toSorted());
  },
  180_000,
);
