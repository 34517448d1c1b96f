import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@genga/database";
import {
  askUntil,
  createTestDatabase,
  startStack,
  startTcpProxy,
  type Stack,
  type TcpProxy,
  type TestDatabase,
} from "@genga/testing";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { genga, graph, json, start, withId } from "./run-cli.ts";

// `genga get`: what it writes, and what it leaves alone.

let database: TestDatabase;
let stack: Stack;
let folder: string;
let env: Record<string, string>;
const proxies: TcpProxy[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url });
  folder = await mkdtemp(join(tmpdir(), "genga-downloads-"));
  env = { GENGA_URL: stack.url, GENGA_CONFIG: join(folder, "login.json") };
}, 180_000);
afterAll(async () => {
  for (const proxy of proxies) await proxy.close();
  await stack.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

/** @returns the id of a job that has completed */
async function completed(args: readonly string[], input = ""): Promise<string> {
  const { id } = json(await genga(["submit", ...args, "--json"], { env, input }), withId);
  expect(await genga(["watch", id], { env })).toMatchObject({ code: 0 });
  return id;
}

function picture(color: number): Promise<string> {
  return completed(["--workflow", "-"], graph(color));
}

const fetchedShape = z.object({
  files: z.array(
    z.object({ path: z.string(), jobId: z.string(), sha256: z.string(), wasThere: z.boolean() }),
  ),
});

async function remove(jobId: string): Promise<void> {
  const response = await fetch(`${stack.url}/api/anime/jobs/${jobId}`, { method: "DELETE" });
  expect(response.status).toBe(204);
}

async function proxyToApi(): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ targetUrl: stack.url });
  proxies.push(proxy);
  return proxy;
}

describe("files", () => {
  test("that an interrupted download left are gone on with; whole ones are not fetched again", async () => {
    const id = await picture(4_678_655);
    const to = join(folder, "parts");
    const get = ["get", id, "-o", to, "--names", "{name}.{ext}", "--json"];
    const [first] = json(await genga(get, { env }), fetchedShape).files;
    const content = await readFile(first!.path);
    expect(createHash("sha256").update(content).digest("hex")).toBe(first!.sha256);

    await rm(first!.path);
    await writeFile(`${first!.path}.part`, content.subarray(0, 40));
    expect(json(await genga(get, { env }), fetchedShape).files).toEqual([first]);
    expect(await readFile(first!.path)).toEqual(content);
    expect(json(await genga(get, { env }), fetchedShape).files).toEqual([{ ...first, wasThere: true }]);

    // A part of another file is noticed, and not kept.
    await rm(first!.path);
    await writeFile(`${first!.path}.part`, Buffer.alloc(40, 1));
    expect(await genga(get, { env })).toMatchObject({ code: 1 });
    expect(await readdir(to)).toEqual([]);
    expect(json(await genga(get, { env }), fetchedShape).files).toEqual([first]);
  });

  test("replace no other file, and find themselves again under their numbers", async () => {
    const to = join(folder, "shared");
    const get = (...ids: string[]): string[] => [
      ...["get", ...ids, "-o", to],
      ...["--names", "same.{ext}", "--json"],
    ];
    const [one, two] = [await picture(11), await picture(12)];
    const first = json(await genga(get(one), { env }), fetchedShape).files[0]!;
    const kept = await readFile(first.path);
    const second = json(await genga(get(two), { env }), fetchedShape).files[0]!;
    expect([first.path, second.path]).toEqual([join(to, "same.png"), join(to, "same (2).png")]);
    expect(await readFile(first.path)).toEqual(kept);
    expect(json(await genga(get(two), { env }), fetchedShape).files).toEqual([{ ...second, wasThere: true }]);
    // The name of one that comes later in the same call is left to it.
    expect(json(await genga(get(two, one), { env }), fetchedShape).files).toEqual([
      { ...second, wasThere: true },
      { ...first, wasThere: true },
    ]);
    expect(await readdir(to)).toHaveLength(2);
  }, 180_000);

  test("are fetched once, however often their job is named", async () => {
    const line = (color: number): string =>
      JSON.stringify({ type: "workflow", workflow: JSON.parse(graph(color)) as object });
    const batch = await completed(["--jobs", "-"], `${line(31)}\n${line(32)}\n`);
    const listed = await genga(["ls", "--batch", batch, "--json"], { env });
    const [job] = json(listed, z.looseObject({ jobs: z.array(withId) })).jobs;
    const to = join(folder, "once");
    const args = ["get", job!.id, batch, job!.id, "-o", to, "--names", "same.{ext}", "--json"];
    expect(json(await genga(args, { env }), fetchedShape).files).toHaveLength(2);
    expect(await readdir(to)).toHaveLength(2);
  }, 180_000);

  test("stay in the folder, whatever projects and prompts are called", async () => {
    // What follows its dot is longer than a name may be.
    const scene = `1.${"夕".repeat(90)}`;
    const where = ["--project", "../../up", "--shot", "a/b\u202e", "--scene", scene];
    const id = await completed(["--workflow", "-", ...where], graph(1));
    const to = join(folder, "inside");
    const ran = await genga(["get", id, "-o", to, "--names", "{project}/{scene}/{prompt}-{shot}.{ext}"], {
      env,
    });
    expect(ran).toMatchObject({ code: 0 });
    expect(existsSync(ran.out.trim())).toBe(true);
    expect(ran.out.startsWith(`${to}/`)).toBe(true);
    expect(await genga(["get", id, "-o", to, "--names", "../{name}"], { env })).toMatchObject({ code: 2 });
    expect(await genga(["get", id, "-o", to, "--names", "{colour}"], { env })).toMatchObject({ code: 2 });
  });

  test.each([
    ["SIGINT", 130, /^large\.png\.part$/],
    ["SIGTERM", 143, /^large\.png\.part$/],
    ["SIGHUP", 129, /^large\.png\.part$/],
    ["SIGKILL", null, /^large\.png\.[0-9a-f]{8}\.part$/],
  ] as const)(
    "that %s cut off are gone on with",
    async (signal, code, leftover) => {
      const id = await completed([
        "--prompt",
        "a hill",
        "-p",
        "steps=1",
        "-p",
        "width=1024",
        "-p",
        "height=1024",
      ]);
      const to = join(folder, signal);
      const get = ["get", id, "-o", to, "--names", "large.{ext}", "--json"];
      const proxy = await proxyToApi();
      const stopHolding = holdDownloads(proxy);
      const { child, ended } = start(get, { env: { ...env, GENGA_URL: proxy.url } });
      const begun = async (): Promise<number> => {
        const [name] = await readdir(to).catch(() => []);
        return name === undefined ? 0 : (await stat(join(to, name))).size;
      };
      const have = await askUntil(begun, (bytes) => bytes > 0);
      child.kill(signal);
      expect((await ended).code).toBe(code);
      stopHolding();
      const [left] = await readdir(to);
      expect(left).toMatch(leftover);
      // As if it were some time ago: a part that grows belongs to somebody.
      await utimes(join(to, left!), 0, 0);
      const ranges: (string | undefined)[] = [];
      proxy.observe(({ direction, data }) => {
        const [, range] = /^range: bytes=(\d+)-/im.exec(data.toString("latin1")) ?? [];
        if (direction === "to-target" && range !== undefined) ranges.push(range);
      });
      const [whole] = json(await genga(get, { env: { ...env, GENGA_URL: proxy.url } }), fetchedShape).files;
      expect(
        createHash("sha256")
          .update(await readFile(whole!.path))
          .digest("hex"),
      ).toBe(whole!.sha256);
      expect(ranges).toHaveLength(1);
      expect(Number(ranges[0])).toBeGreaterThanOrEqual(have);
      expect(await readdir(to)).toEqual(["large.png"]);
    },
    180_000,
  );

  test("that were removed, also meanwhile, do not keep the others from being fetched and told", async () => {
    const gone = await picture(41);
    await remove(gone);
    const line = (color: number): string =>
      JSON.stringify({ type: "workflow", workflow: JSON.parse(graph(color)) as object });
    const batch = await completed(["--jobs", "-"], `${line(42)}\n${line(43)}\n`);
    const listed = await genga(["ls", "--batch", batch, "--json"], { env });
    const [first, second] = json(listed, z.looseObject({ jobs: z.array(withId) })).jobs;
    // The batch has been listed, and the job of the list is about to be read.
    const proxy = await proxyToApi();
    const stop = proxy.observe(({ data, connection }) => {
      if (!data.toString("latin1").startsWith(`GET /api/anime/jobs/${first!.id} `)) return;
      stop();
      connection.hold();
      void remove(first!.id).then(() => {
        connection.release();
      });
    });
    const args = ["get", gone, batch, "-o", join(folder, "gone"), "--json"];
    const ran = await genga(args, { env: { ...env, GENGA_URL: proxy.url } });
    expect(ran.code).toBe(3);
    expect(fetchedShape.parse(JSON.parse(ran.out)).files).toMatchObject([{ jobId: second!.id }]);
    const told = ran.err.trim().split("\n");
    expect(told.map((each) => JSON.parse(each) as object)).toMatchObject([
      { code: "job-removed", detail: expect.stringContaining(gone) },
      { code: "job-removed", detail: expect.stringContaining(first!.id) },
    ]);
  }, 180_000);

  test("that were fetched before a failure are told", async () => {
    const [one, two] = [await picture(51), await picture(52)];
    const to = join(folder, "failing");
    const get = ["get", one, two, "-o", to, "--names", "{job}.{ext}", "--json"];
    json(await genga(get, { env }), fetchedShape);
    await rm(join(to, `${two}.png`));
    await writeFile(join(to, `${two}.png.part`), Buffer.alloc(40, 1));
    const ran = await genga(get, { env });
    expect(ran.code).toBe(1);
    expect(fetchedShape.parse(JSON.parse(ran.out)).files).toMatchObject([{ jobId: one, wasThere: true }]);
  }, 180_000);
});

/** Lets the beginning of each download through. @returns what ends that for new ones */
function holdDownloads(proxy: TcpProxy): () => void {
  const passed = new Map<number, number>();
  return proxy.observe(({ direction, data, connection: { id }, connection }) => {
    if (direction === "to-target" && data.includes("GET /api/anime/outputs/")) passed.set(id, 0);
    const bytes = passed.get(id);
    if (direction === "to-target" || bytes === undefined) return;
    if (bytes > 20_000) connection.hold();
    else passed.set(id, bytes + data.length);
  });
}
