import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import sharp from "sharp";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { openEvents } from "./event-source.ts";

const key = "a-key-that-is-long-enough";
const own = { "x-api-key": key };
let api: ApiUnderTest;
let serverId: string;
let jobId: string;
let batchId: string;

beforeAll(async () => {
  api = await startApiUnderTest({ env: { API_KEYS: key } });
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
  const prompt = { type: "image", prompt: "a cat, 原画", negativePrompt: "dogs" };
  const batch = await asked("batches", { jobs: [prompt, { ...workflowJob("a lighthouse") }] });
  batchId = batch["id"] as string;
  jobId = (batch["jobs"] as { id: string }[])[0]!.id;
});
afterAll(() => api.stop());

function workflowJob(...texts: string[]): object {
  const nodes = texts.map((value, index) => [
    String(index + 10),
    { class_type: "CLIPTextEncode", inputs: { text: value, clip: ["4", 1] } },
  ]);
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "any.safetensors" } },
    ...(Object.fromEntries(nodes) as object),
  };
  return { type: "workflow", workflow };
}

type Answer = Record<string, unknown>;

async function asked(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await (body === undefined
    ? api.request(path, { headers: { ...own, ...headers } })
    : api.post(path, body, { ...own, ...headers }));
  const answer = (await response.json()) as Answer;
  expect([path, response.status < 300, answer["detail"]]).toEqual([path, true, undefined]);
  return answer;
}

/** `fetch` does not let one choose the Host header. */
async function send(
  url: string,
  path: string,
  headers: Record<string, string>,
  body?: object,
): Promise<{ status: number; location: string | undefined; text: string }> {
  const method = body === undefined ? "GET" : "POST";
  const sending = httpRequest(new URL(`/api/anime/${path}`, url), {
    method,
    headers: { ...own, "content-type": "application/json", ...headers },
  });
  const answered = once(sending, "response") as Promise<[IncomingMessage]>;
  sending.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await answered;
  return {
    status: response.statusCode ?? 0,
    location: response.headers.location,
    text: await text(response),
  };
}

/** Every link of an answer, wherever it stands. */
function linksIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    name === "links" ? Object.values(member as Record<string, string>) : linksIn(member),
  );
}

describe("links", () => {
  test("of every kind of answer are whole URLs that exist", async () => {
    const finished = await asked("generate/image", { prompt: "a finished cat" });
    const claimed = await api.worker.claim(finished["id"] as string, serverId);
    const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    await api.worker.complete(claimed, [{ filename: "a.png", body: png, mediaType: "image/png" }]);
    const cancelled = await asked("generate/image", { prompt: "a cancelled cat" });
    const upload = await api.request("uploads", {
      method: "POST",
      body: new Uint8Array(png),
      headers: { ...own, "content-type": "image/png" },
    });
    const uploaded = (await upload.json()) as Answer;
    expect(upload.headers.get("location")).toBe((uploaded["links"] as { self: string }).self);
    const events = await openEvents(`${api.url}/api/anime/jobs/${finished["id"] as string}/events`, own);
    const [snapshot] = await events.rest();
    const answers = [
      ...[finished, cancelled, uploaded, snapshot!.data],
      await asked(`job/${jobId}`),
      await asked(`jobs/${finished["id"] as string}`),
      await asked(`jobs/${finished["id"] as string}/outputs`),
      await asked("jobs"),
      await asked(`jobs/${cancelled["id"] as string}/cancel`, {}),
      await asked(`jobs/${cancelled["id"] as string}/retry`, {}),
      await asked(`batches/${batchId}`),
      await asked(`uploads/${uploaded["id"] as string}`),
      await asked("batches", { jobs: [{ type: "image", prompt: "another" }] }),
    ];
    for (const answer of answers) expect(linksIn(answer).length).toBeGreaterThan(0);
    const links = new Set(answers.flatMap(linksIn));
    expect(links.size).toBeGreaterThan(30);
    // What is only posted to says so; a job that does not run has no preview.
    const expectedOf = (link: string): number => {
      if (/\/(cancel|retry|rerun|pause|resume|priority|links)$/.test(link)) return 405;
      return link.endsWith("/preview") ? 204 : 200;
    };
    for (const link of links) {
      expect(link).toMatch(new RegExp(`^${api.url}/api/anime/`));
      const leaving = new AbortController();
      const { status } = await fetch(link, { headers: own, signal: leaving.signal });
      leaving.abort();
      expect([link, status]).toEqual([link, expectedOf(link)]);
    }
  });

  test.each([
    ["genga.example", "http://genga.example"],
    ["Genga.Example:8080", "http://genga.example:8080"],
    ["genga.example:80", "http://genga.example"],
    ["[::1]:8328", "http://[::1]:8328"],
    ["api_1:8328", "http://api_1:8328"],
  ])("begin with the host that the request names: %s", async (host, origin) => {
    const { status, location, text: body } = await send(api.url, "generate/image", { host }, { prompt: "a" });
    expect(status).toBe(202);
    const answer = JSON.parse(body) as { id: string };
    expect(location).toBe(`${origin}/api/anime/jobs/${answer.id}`);
    for (const link of linksIn(answer)) expect(link.startsWith(`${origin}/api/anime/`)).toBe(true);
  });

  test.each([
    ...["evil.example/path", "user@evil.example", "evil.example?x", "evil.example#x", "a b", '"', "<x>"],
    ...["evil.example:99999", "evil.example:", "[::1", "[zz]", "ü.example", "%65vil", "a".repeat(300)],
  ])("are not made of an invalid Host: %s", async (host) => {
    for (const path of [`job/${jobId}`, "health"]) {
      const { status, text: body } = await send(api.url, path, { host });
      expect([status, JSON.parse(body)]).toEqual([400, expect.objectContaining({ code: "bad-request" })]);
      expect(body).not.toContain("evil");
    }
  });

  test("begin with the address that was connected to where HTTP/1.0 names no host", async () => {
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    socket.write(`GET /api/anime/job/${jobId} HTTP/1.0\r\nX-API-Key: ${key}\r\n\r\n`);
    const answer = await text(socket);
    expect(answer).toContain(`"self":"${api.url}/api/anime/jobs/${jobId}"`);
  });

  test("ignore forwarding headers of untrusted clients", async () => {
    const headers = {
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "https",
      forwarded: "host=evil.example;proto=https",
      "x-original-host": "evil.example",
    };
    for (const path of [`job/${jobId}`, "jobs", `batches/${batchId}`]) {
      const { text: body } = await send(api.url, path, headers);
      expect(body).not.toContain("evil");
      expect(body).not.toContain("https:");
      expect(body).toContain(`${api.url}/api/anime/`);
    }
  });

  test("follow a trusted proxy, if its header is a valid host", async () => {
    const { url } = await api.startAnother({ TRUSTED_PROXIES: "loopback" });
    const forwarded = { "x-forwarded-host": "genga.example", "x-forwarded-proto": "https" };
    const { text: body } = await send(url, `job/${jobId}`, forwarded);
    expect(body).toContain(`"self":"https://genga.example/api/anime/jobs/${jobId}"`);
    expect((await send(url, `job/${jobId}`, { "x-forwarded-host": "a/b" })).status).toBe(400);
    const odd = await send(url, `job/${jobId}`, { ...forwarded, "x-forwarded-proto": "javascript" });
    expect(odd.text).toContain(`"self":"http://genga.example/api/anime/`);
  });

  test("begin with PUBLIC_URL where it is set, whatever a request names", async () => {
    const { url } = await api.startAnother({
      PUBLIC_URL: "https://studio.example/genga/",
      TRUSTED_PROXIES: "loopback",
    });
    const headers = { host: "other.example", "x-forwarded-host": "third.example" };
    const { location, text: body } = await send(url, "generate/image", headers, { prompt: "a" });
    expect(location).toMatch(/^https:\/\/studio\.example\/genga\/api\/anime\/jobs\//);
    expect(body).not.toMatch(/other|third/);
    const listed = JSON.parse((await send(url, "jobs", headers)).text) as unknown;
    for (const link of linksIn(listed))
      expect(link).toMatch(/^https:\/\/studio\.example\/genga\/api\/anime\//);
  });

  test.each([
    ["with a path", "https://studio.example/genga"],
    ["without one", "https://studio.example"],
  ])("of pages and of the OpenAPI document begin with a PUBLIC_URL %s", async (_name, publicUrl) => {
    const { url } = await api.startAnother({ PUBLIC_URL: publicUrl });
    const { servers } = JSON.parse(await (await fetch(`${url}/openapi.json`)).text()) as {
      servers: { url: string }[];
    };
    expect(servers).toMatchObject([{ url: publicUrl }]);
    // All other addresses of the page are relative to this one.
    const page = await (await fetch(url)).text();
    expect(page).toContain(`<base href="${new URL(publicUrl).pathname.replace(/\/*$/, "/")}"`);
    const asked = (await (await api.request("/openapi.json")).json()) as { servers: unknown };
    expect(asked.servers).toMatchObject([{ url: "/" }]);
  });

  test("are neither cached nor stored", async () => {
    const paths = [`job/${jobId}`, "jobs", `batches/${batchId}`, `jobs/${jobId}/outputs`, "queue"];
    for (const path of paths) {
      const { headers } = await api.request(path, { headers: own });
      expect([path, headers.get("cache-control")]).toEqual([path, "no-store"]);
    }
    const { text: body } = await send(
      api.url,
      "batches",
      { host: "not-stored.example" },
      { jobs: [{ type: "image", prompt: "stored" }] },
    );
    const { jobs } = JSON.parse(body) as { jobs: { id: string }[] };
    await send(api.url, `jobs/${jobs[0]!.id}/cancel`, { host: "not-stored.example" }, {});
    const database = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
    await database.connect();
    const { rows: tables } = await database.query<{ name: string }>(
      `SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'`,
    );
    expect(tables.length).toBeGreaterThan(10);
    const found: string[] = [];
    for (const { name } of tables) {
      const { rowCount } = await database.query(
        `SELECT FROM ${name} row WHERE row::text LIKE '%not-stored%'`,
      );
      if (rowCount !== 0) found.push(name);
    }
    await database.end();
    expect(found).toEqual([]);
  });
});

describe("the prompt", () => {
  const asImage = { prompt: "a cat, 原画", negativePrompt: "dogs" };
  const asWorkflow = { prompt: "a lighthouse", negativePrompt: null };

  test("is in the answers of all routes that show a job", async () => {
    expect(await asked(`job/${jobId}`)).toMatchObject(asImage);
    const listed = (await asked(`jobs?batch=${batchId}`))["jobs"] as Answer[];
    expect(
      listed.map(({ batchIndex, prompt, negativePrompt }) => [batchIndex, prompt, negativePrompt]),
    ).toEqual([
      [1, "a lighthouse", null],
      [0, "a cat, 原画", "dogs"],
    ]);
    const events = await openEvents(`${api.url}/api/anime/jobs/${jobId}/events`, own);
    expect((await events.next())!.data).toMatchObject(asImage);
    events.close();
  });

  test("is in the answers to submissions, each with its own job", async () => {
    expect(await asked("generate", { type: "image", ...asImage })).toMatchObject(asImage);
    const { jobs } = await asked("batches", {
      jobs: [workflowJob("a lighthouse"), { type: "image", ...asImage }],
    });
    expect(jobs).toMatchObject([asWorkflow, asImage]);
    const defaults = await asked("generate/image", { prompt: "a train" });
    expect(defaults).toMatchObject({ prompt: "a train", negativePrompt: expect.stringContaining("blurry") });
  });

  test("of a raw workflow is the beginning of its texts, or nothing where it has none", async () => {
    const long = `${"x".repeat(498)}🌸${"y".repeat(9_000)}`;
    const shortened = await asked("generate", workflowJob(long, "more"));
    expect(shortened["prompt"]).toBe(`${"x".repeat(498)}…`);
    const silent = await asked("generate", workflowJob());
    expect(silent).toMatchObject({ prompt: null, negativePrompt: null });
    for (const { id, prompt } of [shortened, silent]) {
      expect(await asked(`job/${id as string}`)).toMatchObject({ prompt, negativePrompt: null });
    }
  });
});
