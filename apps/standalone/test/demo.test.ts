import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { startSimulator, type Simulator } from "@genga/comfyui-simulator";
import { migrate, openDatabase } from "@genga/database";
import { freePort } from "@genga/embedded";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  testServiceUrl,
  type TestDatabase,
  launcher,
} from "@genga/testing";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";

const quick = { loadMs: 20, stepMs: 2, saveMs: 1 };

let folder: string;
let database: TestDatabase;
let simulator: Simulator | undefined;
let command: ChildProcess | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "genga-demo-"));
  chmodSync(folder, 0o755);
  database = await createTestDatabase();
});

afterEach(async () => {
  if (command?.exitCode === null) {
    command.kill("SIGKILL");
    await once(command, "exit");
  }
  await simulator?.stop();
  await database.drop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

/** What `npm start` and `npm run demo` run, once everything is installed. */
function run(args: string[], env: Record<string, string>): { lines: string[]; exited: Promise<unknown> } {
  const child = spawn(process.execPath, [launcher, "apps/standalone/src/main.ts", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      PORT: "0",
      DATA_DIR: join(folder, "data"),
      ...env,
    },
  });
  command = child;
  const lines: string[] = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => lines.push(line));
  }
  const exited = Promise.all([
    once(child, "exit"),
    once(child.stdout, "end"),
    once(child.stderr, "end"),
  ]).then(() => child.exitCode);
  return { lines, exited };
}

/** Where the API answers, once it does. */
async function servingAt(lines: string[], exited: Promise<unknown>): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    command!.stdout!.on("data", () => {
      if (lines.some((line) => line.includes("Serving until Ctrl-C"))) resolve();
    });
    void exited.then(() => {
      reject(new Error(lines.join("\n")));
    });
  });
  return /^API +(http\S+)\/api\/anime\/health$/m.exec(lines.join("\n"))?.[1] ?? "";
}

const givenServices = (comfyuiUrls = simulator!.url): Record<string, string> => ({
  DATABASE_URL: database.url,
  REDIS_URL: testServiceUrl("TEST_REDIS_URL"),
  REDIS_PREFIX: `demo-${database.url.slice(-8)}`,
  COMFYUI_URLS: comfyuiUrls,
});

describe("the demo", () => {
  test("makes eight images and a video, says where they are, and ends with 0", async () => {
    // Slow enough that the pictures are seen while they run.
    simulator = await startSimulator({ timing: { ...quick, stepMs: 25 } });
    const { lines, exited } = run(["--demo", "--exit"], givenServices());
    expect([await exited, lines.at(-1)]).toEqual([0, "stopped"]);
    const text = lines.join("\n");
    expect(text).toContain("9 of 9 jobs completed");
    expect(text).toMatch(/image 1 +100 % {2}completed/);
    // The video begins with the first picture, so it waits for it.
    expect(text).toMatch(/video +0 % {2}waits: Job image 1 \(\w+\) must complete first\./);
    expect(text).toMatch(
      /^ {2}with \S+: image 1, image 2, image 3, image 4, video\n {2}with \S+: image 5, /m,
    );
    const files = [...text.matchAll(/^ {2}(image \d|video): (.+)$/gm)].map((match) => match[2]!);
    expect(files.map((file) => file.split(".").at(-1))).toEqual([...Array<string>(8).fill("png"), "mp4"]);
    expect(files.every((file) => existsSync(file))).toBe(true);
    expect(text).toMatch(/^ {2}image \d, preview while it runs: http\S+\/preview$/m);
    const [, zip = ""] = /made again: (\S+\.zip)$/m.exec(text) ?? [];
    const { stdout } = await promisify(execFile)("python3", ["-m", "zipfile", "-l", zip]);
    expect(stdout.match(/\.(png|mp4) /g)?.toSorted()).toEqual([".mp4 ", ...Array<string>(8).fill(".png ")]);
    expect(stdout).toContain("manifest.json");
    expect(readdirSync(join(folder, "data", "logs")).toSorted()).toEqual(["api.log", "worker.log"]);
  });

  test("explains for every job what the servers lack, and runs jobs that they can run", async () => {
    simulator = await startSimulator({ timing: quick, models: { checkpoints: [] } });
    const { lines, exited } = run(["--demo", "--exit"], givenServices());
    expect([await exited, lines.at(-1)]).toEqual([0, "stopped"]);
    const text = lines.join("\n");
    expect(text).toContain("9 of 9 jobs completed");
    expect(text).toContain("The batch was refused");
    for (const title of ["image 1", "image 8", "video"]) {
      expect(text).toMatch(new RegExp(`^ {2}${title}, model: .*safetensors`, "m"));
    }
    expect(text).not.toContain("    at ");
  });

  test("uses the checkpoint that its servers have", async () => {
    simulator = await startSimulator({ timing: quick, models: { checkpoints: ["other.safetensors"] } });
    const { lines, exited } = run(["--demo", "--exit"], givenServices());
    expect([await exited, lines.at(-1)]).toEqual([0, "stopped"]);
    const text = lines.join("\n");
    expect(text).toContain("9 of 9 jobs completed");
    expect(text).toContain("Available: other.safetensors");
  });

  test("also works where keys exist that it does not have, and leaves no key behind", async () => {
    simulator = await startSimulator({ timing: quick });
    await migrate({ databaseUrl: database.url });
    const stores = openDatabase({ databaseUrl: database.url });
    const { keys } = stores;
    const named = { tenantName: "studio", name: "me", role: "read" } as const;
    await keys.addKey(named, { keyName: "test", tenantId: null });
    try {
      const { lines, exited } = run(["--demo", "--exit"], givenServices());
      expect([await exited, lines.at(-1)]).toEqual([0, "stopped"]);
      expect(lines.join("\n")).toContain("9 of 9 jobs completed");
      expect(await keys.listKeys()).toMatchObject([{ name: "me" }]);
    } finally {
      await stores.close();
    }
  });
});

test("npm start with a key of the role submit says that it waits until it knows what the servers can run", async () => {
  const port = await freePort();
  const { lines, exited } = run(["--exit"], {
    ...givenServices(`http://127.0.0.1:${port}`),
    API_KEYS: "studio:submit:a-key-of-the-studio",
  });
  const waiting = `waiting to learn what http://127.0.0.1:${port} can run`;
  await new Promise<void>((resolve, reject) => {
    command!.stdout!.on("data", () => {
      if (lines.includes(waiting)) resolve();
    });
    void exited.then(() => {
      reject(new Error(lines.join("\n")));
    });
  });
  expect(lines.some((line) => line.startsWith("API "))).toBe(false);
  simulator = await startSimulator({ timing: quick, port });
  expect([await exited, lines.at(-1)]).toEqual([0, "stopped"]);
  expect(lines.findIndex((line) => line.startsWith("API "))).toBeGreaterThan(lines.indexOf(waiting));
  expect(lines.join("\n")).not.toContain("it has not answered");
});

test("npm start gives API and worker the key for secrets that it made, which only its owner can read", async () => {
  simulator = await startSimulator({ timing: quick });
  const { lines, exited } = run([], givenServices());
  const apiUrl = await servingAt(lines, exited);
  const file = join(folder, "data", "secrets-key");
  expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
  const api = new ApiClient(apiUrl);
  const extraData = { api_key_comfy_org: "comfyui-4711-secret-words" };
  const jobId = await api.submit({ type: "workflow", workflow: sleepWorkflow(0.1), extraData });
  const ended = await api.until(jobId, ({ status, attempt }) => status === "completed" || attempt > 1);
  expect([ended.status, ended.failure, ended.attempt]).toEqual(["completed", null, 1]);
  command!.kill("SIGTERM");
  expect([await exited, lines.at(-1)]).toEqual([0, "stopped"]);
  const logs = readdirSync(join(folder, "data", "logs")).map((name) =>
    readFileSync(join(folder, "data", "logs", name), "utf8"),
  );
  expect([...lines, ...logs].join("\n")).not.toContain(readFileSync(file, "utf8").trim());
});

test("npm start brings up everything by itself and leaves nothing behind", async () => {
  const { lines, exited } = run([], {});
  const apiUrl = await servingAt(lines, exited);
  const text = lines.join("\n");
  const health: unknown = await (await fetch(`${apiUrl}/api/anime/health`)).json();
  expect(health).toMatchObject({ parts: { database: { status: "ok" }, redis: { status: "ok" } } });
  const children = [...text.matchAll(/\(process (\d+)\)/g)].map((match) => Number(match[1]));
  expect(children).toHaveLength(3); // simulator, API, worker
  const postgres = Number(
    readFileSync(join(folder, "data/postgres/cluster/postmaster.pid"), "utf8").split("\n")[0],
  );
  const redis = Number(readFileSync(join(folder, "data/redis/redis.pid"), "utf8"));

  command!.kill("SIGTERM");
  expect([await exited, lines.at(-1)]).toEqual([0, "stopped"]);
  for (const pid of [...children, postgres, redis]) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});
