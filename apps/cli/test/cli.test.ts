import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@genga/database";
import { createTestDatabase, sleepWorkflow, startStack, type Stack, type TestDatabase } from "@genga/testing";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import sharp from "sharp";
import { z } from "zod";
import { genga, gengaOnTerminal, graph, json, shell, withId } from "./run-cli.ts";

let database: TestDatabase;
let stack: Stack;
let folder: string;
let env: Record<string, string>;
const servers: Server[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url, apis: 1, workers: 1 });
  folder = await mkdtemp(join(tmpdir(), "genga-cli-"));
  env = { GENGA_URL: stack.url, GENGA_CONFIG: join(folder, "login.json") };
}, 180_000);
afterAll(async () => {
  for (const server of servers) server.close();
  await stack.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

/** A server in place of the API. @returns its address */
async function answering(
  answer: (path: string, response: ServerResponse, headers: IncomingHttpHeaders) => void,
): Promise<string> {
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    answer(request.url ?? "", response, request.headers);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

test("submit, watch and get follow each other in a shell, with nothing but the id between them", async () => {
  const path = await file("graph.json", graph(255));
  const ran = await shell(
    `id=$(genga submit --workflow ${path}) && genga watch $id && genga get $id -o "${folder}/renders"`,
    { env },
  );
  expect(ran).toMatchObject({ code: 0 });
  expect(ran.err).toMatch(/100 % {2}completed/);
  const written = ran.out.trim();
  expect(written.startsWith(`${folder}/renders/`)).toBe(true);
  expect((await readFile(written)).subarray(1, 4).toString()).toBe("PNG");
});

test("a batch from lines of JSON keeps every digit, is counted first when asked, and comes as a zip", async () => {
  const lines = [255, 65_280].map((color) =>
    JSON.stringify({ type: "workflow", workflow: JSON.parse(graph(color)) as object }),
  );
  lines.push(`{"type": "image", "prompt": "sky", "seed": 18446744073709551615, "steps": 1}`);
  const input = `${lines.join("\n")}\n\n`;
  const dry = await genga(["submit", "--jobs", "-", "--dry-run", "--json"], { env, input });
  expect(json(dry, z.looseObject({ total: z.number() })).total).toBe(3);
  const batch = json(
    await genga(["submit", "--jobs", "-", "--name", "night", "--json"], { env, input }),
    withId,
  );
  expect(await genga(["watch", batch.id], { env })).toMatchObject({ code: 0 });
  const listed = await genga(["ls", "--batch", batch.id, "--text", "sky", "--json"], { env });
  const [sky] = json(listed, z.looseObject({ jobs: z.array(withId) })).jobs;
  const response = await fetch(`${stack.url}/api/anime/jobs/${sky!.id}/parameters`);
  expect(await response.text()).toContain("18446744073709551615");
  // Into a folder that is made for it; the second one replaces nothing.
  const zip = join(folder, "zips", "night.zip");
  expect(await genga(["get", batch.id, "--zip", zip], { env })).toMatchObject({ code: 0, out: `${zip}\n` });
  const content = await readFile(zip);
  expect(content.subarray(0, 2).toString()).toBe("PK");
  const again = await genga(["get", batch.id, "--zip", zip, "--json"], { env });
  expect(json(again, z.object({ path: z.string() })).path).toBe(join(folder, "zips", "night (2).zip"));
  expect(await readFile(zip)).toEqual(content);
}, 180_000);

test("fields of --param are not hidden by options that were not given, and options that say nothing are refused", async () => {
  const path = await file("fields.json", graph(3));
  const args = ["submit", "--workflow", path, "-p", "project=opening", "-p", 'tags=["a"]', "--json"];
  const { id } = json(await genga(args, { env }), withId);
  expect(json(await genga(["show", id, "--json"], { env }), withId)).toMatchObject({
    project: "opening",
    tags: ["a"],
  });
  for (const more of [["-v", "seed=3"], ["--negative", "blurry"], ["--zip"]])
    expect(await genga(["submit", "--workflow", path, ...more], { env })).toMatchObject({ code: 2, out: "" });
});

test("a picture of one's own is uploaded and begun with; a dry run sends nothing", async () => {
  const sketch = join(folder, "sketch.png");
  await sharp({ create: { width: 256, height: 256, channels: 3, background: "#4763ff" } })
    .png()
    .toFile(sketch);
  const args = ["submit", "--prompt", "inked", "--image", sketch, "-p", "steps=2", "-p", "denoise=0.5"];
  const { id } = json(await genga([...args, "--json"], { env }), withId);
  expect(await genga(["watch", id], { env })).toMatchObject({ code: 0 });
  expect(await genga([...args, "--seeds", "2", "--dry-run"], { env })).toMatchObject({ code: 2 });
});

test("says its version", async () => {
  expect(await genga(["--version"], { env })).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  });
});

test("a sweep over inputs of a workflow makes a job for each value", async () => {
  const path = await file("swept.json", graph(0));
  const args = ["submit", "--workflow", path, "--vary", "1.color=1,2,3", "--dry-run", "--json"];
  expect(json(await genga(args, { env }), z.looseObject({ total: z.number() })).total).toBe(3);
});

test("a job that fails ends the watch with 1, and why says at which node", async () => {
  const failing = await file(
    "failing.json",
    JSON.stringify({
      "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
      "2": {
        class_type: "ProtoFail",
        inputs: { image: ["1", 0], mode: "value", message: "no\u001b[31m luck", seed: 1 },
      },
      "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "x" } },
    }),
  );
  const { id } = json(await genga(["submit", "--workflow", failing, "--json"], { env }), withId);
  const watched = await genga(["watch", id], { env });
  expect(watched.code).toBe(1);
  expect(watched.err).toMatch(/failed: .*no\\u001b\[31m luck/);
  const why = await genga(["why", id], { env });
  expect(why.out).toContain("at node 2 (ProtoFail)");
  expect(watched.err + why.out).not.toContain("\u001b");
  // It made nothing.
  expect(await genga(["get", id, "-o", join(folder, "none")], { env })).toMatchObject({ code: 1, out: "" });
});

describe("exit codes tell a script", () => {
  test.each<[string, string[], Record<string, string>, number, RegExp]>([
    ["a wrong option", ["submit", "--colour", "red"], {}, 2, /unknown option '--colour'/],
    [
      "a file that is not there",
      ["submit", "--workflow", "/nonexistent.json"],
      {},
      2,
      /cannot read \/nonexistent/,
    ],
    ["an unknown job", ["show", "0199a7b2-0000-7000-8000-000000000000"], {}, 3, /There is no job 0199a7b2/],
    ["a refused field", ["submit", "--prompt", "x", "-p", "width=100"], {}, 3, /width: /],
    [
      "an API that is away",
      ["ls"],
      { GENGA_URL: "http://127.0.0.1:65431" },
      4,
      /could not be reached.*ECONNREFUSED/,
    ],
    [
      "a watch of an API that is away",
      ["watch", "x"],
      { GENGA_URL: "http://127.0.0.1:65431" },
      4,
      /ECONNREFUSED/,
    ],
    ["a time beyond all timers", ["watch", "x", "--timeout", "600h"], {}, 2, /up to 480h/],
    ["an address with a password", ["ls"], { GENGA_URL: "http://a:b@127.0.0.1:9" }, 2, /holds a password/],
    ["a kept login that cannot be read", ["ls"], { GENGA_CONFIG: tmpdir() }, 2, /cannot read .*EISDIR/],
  ])("%s", async (_what, args, more, code, message) => {
    const ran = await genga(args, { env: { ...env, ...more } });
    expect([ran.code, ran.out]).toEqual([code, ""]);
    expect(ran.err).toMatch(message);
  });

  test.each([
    ...["show", "why", "watch", "get", "cancel", "retry", "rerun", "batch show", "batch pause"],
    ...["template show", "template archive", "servers drain", "keys revoke"],
  ])("an argument of %s that is empty, as from a variable that is not set", async (command) => {
    const ran = await genga([...command.split(" "), ""], { env });
    expect([ran.code, ran.out, ran.err]).toEqual([2, "", expect.stringMatching(/^genga: <\w+> is empty/)]);
    const dots = await genga([...command.split(" "), ".."], { env });
    expect([dots.code, dots.out, dots.err]).toEqual([2, "", expect.stringMatching(/^genga: \.\. is no /)]);
  });

  test("a mistake in a line of a file, by its number", async () => {
    const ran = await genga(["submit", "--jobs", "-"], {
      env,
      input: '{"type": "image", "prompt": "a"}\n{"type": \n',
    });
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toContain("line 2 of - is not JSON");
  });

  test("a line that is not UTF-8, which is not submitted altered", async () => {
    const line = '{"type": "image", "prompt": "café"}\n';
    const input = Buffer.concat([Buffer.from(line), Buffer.from(line, "latin1")]);
    const ran = await genga(["submit", "--jobs", "-"], { env, input });
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toContain("line 2 of - is not UTF-8");
    const args = ["submit", "--jobs", "-", "--dry-run"];
    expect(await genga(args, { env, input: `\ufeff${line}` })).toMatchObject({ code: 0 });
  });

  test("something else than Genga that answers with JSON", async () => {
    const url = await answering((path, response) => {
      if (path.includes("/models")) response.writeHead(408);
      response.end('{"status": "ok"}');
    });
    const own = { GENGA_URL: url, GENGA_CONFIG: join(folder, "foreign.json") };
    for (const args of [["submit", "--prompt", "x"], ["show", "x"], ["login"], ["whoami"]]) {
      const ran = await genga(args, { env: own });
      expect([args, ran.code, ran.out]).toEqual([args, 4, ""]);
      expect(ran.err).toContain("none of Genga's API");
    }
    expect(existsSync(own.GENGA_CONFIG)).toBe(false);
    expect(await genga(["models"], { env: own })).toMatchObject({ code: 4, out: "" });
  });

  test("the end of the time, while the job goes on", async () => {
    const sleeping = await file("sleeping.json", JSON.stringify(sleepWorkflow(30)));
    const { id } = json(await genga(["submit", "--workflow", sleeping, "--json"], { env }), withId);
    const ran = await genga(["watch", id, "--timeout", "0.5s"], { env });
    expect(ran).toMatchObject({ code: 5 });
    const unknown = "0199a7b2-0000-7000-8000-000000000000";
    expect(await genga(["cancel", unknown, id], { env })).toMatchObject({ code: 3 });
    expect((await genga(["watch", id], { env })).code).toBe(1);
    // What has ended stays, and that is no failure.
    expect(await genga(["cancel", id], { env })).toMatchObject({ code: 0 });
  });
});

test("nothing that a terminal obeys is written, whoever answers at the address", async () => {
  const id = "\u001b]52;c;ZXZpbA==\u0007";
  const url = await answering((path, response) => {
    response.end(JSON.stringify(path.endsWith("/keys") ? { key: id } : { id, status: "queued", links: {} }));
  });
  for (const args of [
    ["submit", "--prompt", "x"],
    ["keys", "create", "a", "--tenant", "b"],
    ["rerun", "x"],
  ]) {
    const ran = await genga([...args, "--url", url], { env });
    expect(ran).toMatchObject({ code: 0, out: "\\u001b]52;c;ZXZpbA==\\u0007\n" });
  }
});

describe("a login", () => {
  test("is readable for its user alone, is refused otherwise, and can be forgotten", async () => {
    const own = { GENGA_CONFIG: join(folder, "own", "login.json") };
    expect(await genga(["login", stack.url], { env: own })).toMatchObject({ code: 0 });
    expect((await stat(own.GENGA_CONFIG)).mode & 0o777).toBe(0o600);
    expect(await genga(["ls"], { env: own })).toMatchObject({ code: 0 });
    await chmod(own.GENGA_CONFIG, 0o644);
    const refused = await genga(["ls"], { env: own });
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("can be read by other users");
    expect(await genga(["logout"], { env: own })).toMatchObject({ code: 0 });
    expect(existsSync(own.GENGA_CONFIG)).toBe(false);
  });

  test("is kept only with a key that the API knows", async () => {
    const keyed = await stack.startApi({ API_KEYS: "studio:submit:genga-cli-test-key-0123456789abcdef" });
    const url = String(keyed.details["url"]);
    const own = { GENGA_CONFIG: join(folder, "checked.json") };
    const wrong = await genga(["login", url], { env: own, input: "no-such-key-0123456789abcdef\n" });
    expect(wrong).toMatchObject({ code: 3, out: "" });
    expect(existsSync(own.GENGA_CONFIG)).toBe(false);
    const right = await genga(["login", url], { env: own, input: "genga-cli-test-key-0123456789abcdef\n" });
    expect(right).toMatchObject({ code: 0 });
    expect((await genga(["whoami"], { env: own })).out).toMatch(/tenant +studio\nrole +submit/);
    expect(
      await genga(["whoami"], { env: { ...own, GENGA_API_KEY: "no-such-key-0123456789abcdef" } }),
    ).toMatchObject({ code: 3 });
  });

  test("gives its key to the address that it was given for, and to no other", async () => {
    const seen: (string | undefined)[] = [];
    const url = await answering((_path, response, { authorization }) => {
      seen.push(authorization);
      const role = authorization === undefined ? null : "submit";
      response.end(JSON.stringify({ tenant: "studio", role, keyName: "k", needsKey: true, jobs: [] }));
    });
    const own = { GENGA_CONFIG: join(folder, "keyed.json") };
    expect(await genga(["login", url], { env: own, input: "secret-key\n" })).toMatchObject({ code: 0 });
    await genga(["ls"], { env: own });
    await genga(["ls", "--url", url.replace("127.0.0.1", "localhost")], { env: own });
    expect(seen).toEqual([undefined, "Bearer secret-key", "Bearer secret-key", undefined]);
  });

  test("takes the first line of standard input, and tells nobody what it holds", async () => {
    const keyed = await stack.startApi({ API_KEYS: "studio:submit:genga-cli-first-line-0123456789abcdef" });
    const url = String(keyed.details["url"]);
    const own = { GENGA_CONFIG: join(folder, "lines.json") };
    const input = "genga-cli-first-line-0123456789abcdef\nurl: genga.example\n";
    expect(await genga(["login", url], { env: own, input })).toMatchObject({ code: 0 });
    expect(await genga(["whoami"], { env: own })).toMatchObject({ code: 0 });
    for (const args of [["ls"], ["ls", "--json"], ["mcp"]]) {
      const ran = await genga(args, { env: { ...own, GENGA_URL: url, GENGA_API_KEY: input } });
      expect([ran.code, ran.out]).toEqual([2, ""]);
      expect(ran.err).toContain("GENGA_API_KEY is no API key");
      expect(ran.err).not.toContain("first-line");
    }
    const spaced = await genga(["login", url], { env: own, input: "first-line of prose\n" });
    expect(spaced).toMatchObject({ code: 2, out: "" });
    expect(spaced.err).not.toContain("first-line");
  });

  test("needs a key, which Ctrl-D does not give", async () => {
    const keyed = await stack.startApi({ API_KEYS: "studio:submit:genga-cli-asked-0123456789abcdef" });
    const url = String(keyed.details["url"]);
    const own = { GENGA_CONFIG: join(folder, "asked.json") };
    const left = await gengaOnTerminal(["login", url], "\u0004", { env: own });
    expect(left).toMatchObject({ code: 2, out: expect.stringContaining("no key was given") });
    const given = await gengaOnTerminal(["login", url], "genga-cli-asked-0123456789abcdef\r", { env: own });
    expect(given).toMatchObject({ code: 0, out: expect.not.stringContaining("asked-0123") });
  });

  test("is in the user's folder where GENGA_CONFIG is set to nothing", async () => {
    const own = { GENGA_CONFIG: "", XDG_CONFIG_HOME: join(folder, "config") };
    const { path } = json(
      await genga(["login", stack.url, "--json"], { env: own }),
      z.looseObject({ path: z.string() }),
    );
    expect(existsSync(path)).toBe(true);
    expect(await genga(["logout"], { env: own })).toMatchObject({ code: 0 });
    expect(existsSync(path)).toBe(false);
  });
});

test("what was removed stops neither cancel nor retry, and what was done is told", async () => {
  const [removed, done] = await Promise.all(
    [21, 22].map(async (color) => {
      const path = await file(`removed-${color}.json`, graph(color));
      const { id } = json(await genga(["submit", "--workflow", path, "--json"], { env }), withId);
      expect(await genga(["watch", id], { env })).toMatchObject({ code: 0 });
      return id;
    }),
  );
  await fetch(`${stack.url}/api/anime/jobs/${removed!}`, { method: "DELETE" });
  for (const command of ["cancel", "retry"]) {
    const ran = await genga([command, removed!, done!, "--json"], { env });
    expect(ran.code).toBe(3);
    expect(z.array(withId).parse(JSON.parse(ran.out))).toMatchObject([{ id: done }]);
    expect(ran.err).toContain("job-removed");
  }
});

test("templates, servers, models and completions are there", async () => {
  expect((await genga(["template", "ls"], { env })).out).toContain("image");
  const shown = await genga(["template", "show", "image"], { env });
  expect(shown.out).toMatch(/prompt\s+string\s+yes/);
  const servers = z.looseObject({ servers: z.array(z.looseObject({ id: z.string(), name: z.string() })) });
  const [server] = json(await genga(["servers", "--json"], { env }), servers).servers;
  const drained = await genga(["servers", "drain", server!.name], { env });
  const listed = await genga(["servers"], { env });
  const resumed = await genga(["servers", "resume", server!.id], { env });
  expect([drained.code, listed.out, resumed.code]).toEqual([0, expect.stringContaining("draining"), 0]);
  expect((await genga(["models", "--kind", "samplers"], { env })).out).toContain("euler");
  const checked = await shell("genga completion bash | bash -n && echo fine", { env });
  expect(checked).toMatchObject({ code: 0, out: "fine\n" });
});

test("a batch is listed, shown, paused, resumed and submitted again", async () => {
  const input = `${JSON.stringify({ type: "workflow", workflow: JSON.parse(graph(7)) as object })}\n`;
  const { id } = json(
    await genga(["submit", "--jobs", "-", "--name", "シーン4", "--json"], { env, input }),
    withId,
  );
  expect((await genga(["batch", "ls"], { env })).out).toContain("シーン4");
  await genga(["watch", id], { env });
  expect((await genga(["batch", "show", id], { env })).out).toMatch(/state\s+1 of 1/);
  // A batch that has ended is refused by name; one that waits is paused and goes on.
  expect((await genga(["batch", "pause", id], { env })).err).toContain("batch");
  const waiting = `${JSON.stringify({ type: "workflow", workflow: JSON.parse(graph(8)) as object, runAt: "2099-01-01T00:00:00Z" })}\n`;
  const later = json(await genga(["submit", "--jobs", "-", "--json"], { env, input: waiting }), withId);
  expect((await genga(["batch", "pause", later.id], { env })).out).toContain("0 of 1, paused");
  expect((await genga(["why", later.id], { env })).out).toContain("waits: ");
  expect((await genga(["batch", "resume", later.id], { env })).out.trim()).toBe("0 of 1");
  expect(await genga(["cancel", later.id], { env })).toMatchObject({ code: 0 });
  const again = (await genga(["batch", "again", id, "--name", "once more"], { env })).out.trim();
  expect(again).not.toBe(id);
  expect(await genga(["watch", again, id], { env })).toMatchObject({ code: 0 });
  const job = json(
    await genga(["ls", "--batch", again, "--json"], { env }),
    z.looseObject({ jobs: z.array(withId) }),
  ).jobs[0]!;
  const rerun = (await genga(["rerun", job.id], { env })).out.trim();
  expect(await genga(["watch", rerun], { env })).toMatchObject({ code: 0 });
});
