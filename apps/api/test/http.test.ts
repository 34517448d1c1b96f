import { once } from "node:events";
import { connect } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { problemDocumentSchema } from "../src/http/problem-document.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApiUnderTest();
  await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

const image = JSON.stringify({ type: "image", prompt: "a cat, 原画" });

async function problemOf(response: Response): Promise<{ status: number; code: string; detail: string }> {
  expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  const document = problemDocumentSchema.parse(await response.json());
  expect(document.status).toBe(response.status);
  return document;
}

function send(path: string, body: Buffer | string, headers: Record<string, string> = {}): Promise<Response> {
  const type = { "content-type": "application/json" };
  return api.request(path, {
    method: "POST",
    body: new Uint8Array(Buffer.from(body)),
    headers: { ...type, ...headers },
  });
}

describe("a compressed body", () => {
  const codings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync };

  test.each(["gzip", "deflate", "br"] as const)("is read when it is %s", async (coding) => {
    const headers = { "content-encoding": coding };
    expect((await send("generate", codings[coding](image), headers)).status).toBe(202);
  });

  test.each(["gzip", "deflate", "br"] as const)("is refused when it only claims to be %s", async (coding) => {
    for (const path of ["generate", "batches"]) {
      const problem = await problemOf(await send(path, image, { "content-encoding": coding }));
      expect(problem).toMatchObject({ status: 400, code: "bad-request" });
      expect(problem.detail).toContain(coding);
    }
  });

  test.each(["gzip", "deflate", "br"] as const)("is refused when its %s breaks off", async (coding) => {
    const compressed = codings[coding](image);
    const half = compressed.subarray(0, compressed.length - 10);
    expect(await problemOf(await send("generate", half, { "content-encoding": coding }))).toMatchObject({
      status: 400,
      code: "bad-request",
    });
  });

  test.each(["image/png", "multipart/form-data; boundary=x"])(
    "is refused as an upload of %s",
    async (type) => {
      for (const coding of ["gzip", "deflate", "br", "identity, gzip", "rot13"]) {
        const headers = { "content-type": type, "content-encoding": coding };
        const response = await send("uploads", gzipSync("--x--"), headers);
        expect(response.headers.get("accept-encoding")).toBe("identity");
        expect(await problemOf(response)).toMatchObject({ status: 415, code: "unsupported-media-type" });
      }
    },
  );

  test("is refused when its coding is unknown", async () => {
    expect(await problemOf(await send("generate", image, { "content-encoding": "rot13" }))).toMatchObject({
      status: 415,
      code: "unsupported-media-type",
    });
  });
});

describe("a JSON body", () => {
  test.each<[string, Buffer]>([
    ["a byte that no character begins with", Buffer.from([0xff])],
    ["half a character", Buffer.from("é").subarray(0, 1)],
    ["a surrogate", Buffer.from([0xed, 0xa0, 0x80])],
    ["Latin-1", Buffer.from("é", "latin1")],
  ])("is refused when it holds %s", async (_name, bytes) => {
    const [head, tail] = [`{"type":"image","prompt":"`, `"}`].map((text) => Buffer.from(text));
    const problem = await problemOf(await send("generate", Buffer.concat([head!, bytes, tail!])));
    expect(problem).toMatchObject({ status: 400, code: "malformed-json" });
    expect(problem.detail).toContain("UTF-8");
  });

  test("may begin with a byte order mark, and may name its charset", async () => {
    expect((await send("generate", `\uFEFF${image}`)).status).toBe(202);
    for (const charset of ["utf-8", '"UTF-8"']) {
      const headers = { "content-type": `application/json; charset=${charset}` };
      expect((await send("generate", image, headers)).status).toBe(202);
    }
  });

  test.each(["utf-16le", "iso-8859-1", "klingon"])(
    "is refused when it says that it is %s",
    async (charset) => {
      const headers = { "content-type": `application/json; charset=${charset}` };
      const problem = await problemOf(await send("generate", image, headers));
      expect(problem).toMatchObject({ status: 415, code: "unsupported-media-type" });
    },
  );

  test.each<[string, string, string, string]>([
    ["generate", `{"type":"image","prompt":"a","prompt":"b"}`, "prompt", "column 30"],
    ["generate", `{"type":"image","prompt":"a","\\u0070rompt":"b"}`, "prompt", "column 30"],
    ["generate/video", `{"prompt":"a","width":512.0,"width":512}`, "width", "column 29"],
    [
      "batches",
      `{"jobs":[{"type":"image","prompt":"a",\n"tags":[],"tags":[]}]}`,
      "tags",
      "line 2, column 11",
    ],
    [
      "generate",
      `{"type":"workflow","workflow":{"1":{"class_type":"A","inputs":{}},"1":{"class_type":"B","inputs":{}}}}`,
      "1",
      "column 67",
    ],
  ])("is refused when it has a name twice: %s %s", async (path, body, name, place) => {
    const problem = await problemOf(await send(path, body));
    expect(problem).toMatchObject({ status: 400, code: "repeated-name" });
    expect(problem.detail).toContain(`"${name}"`);
    expect(problem.detail).toContain(place);
  });
});

/** What a server answers to bytes that fetch would not send. */
async function rawAnswer(request: string): Promise<{ head: string; body: string }> {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  socket.setEncoding("utf8");
  let answer = "";
  socket.on("data", (text: string) => (answer += text));
  socket.write(request);
  await once(socket, "close");
  const [head = "", body = ""] = answer.split("\r\n\r\n", 2);
  return { head, body };
}

describe("a method that is not possible", () => {
  const paths = ["/metrics", "/", "/docs", "/openapi.json", "/api/anime/health", "/api/anime/health/ready"];
  const jobPaths = ["generate", "generate/image", "batches", "jobs", "queue", "servers", "uploads"];

  test.each([...paths, ...jobPaths])("is answered with 405 and the possible ones at %s", async (path) => {
    for (const method of ["PUT", "PATCH", "PROPFIND"]) {
      const response = await api.request(path, { method });
      expect(response.headers.get("allow")).toMatch(/^(GET|POST).*OPTIONS$/);
      expect(await problemOf(response)).toMatchObject({ status: 405, code: "method-not-allowed" });
    }
  });

  test.each(["BREW", "get", "CONNECT"])(
    "is answered with 405 even if Node does not know it: %s",
    async (method) => {
      const { host } = new URL(api.url);
      const target = method === "CONNECT" ? host : "/api/anime/jobs";
      const { head, body } = await rawAnswer(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect(head).toMatch(/^HTTP\/1\.1 405 /);
      expect(head).toMatch(/^allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS$/im);
      expect(problemDocumentSchema.parse(JSON.parse(body))).toMatchObject({
        status: 405,
        code: "method-not-allowed",
      });
    },
  );
});

test.each<[string, string, number, string]>([
  ["a head that is not HTTP", "GET jobs please\r\n\r\n", 400, "bad-request"],
  [
    "a header that is too large",
    `GET / HTTP/1.1\r\nX: ${"x".repeat(70_000)}\r\n\r\n`,
    431,
    "headers-too-large",
  ],
  [
    "a chunk that is none",
    "POST /api/anime/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    400,
    "bad-request",
  ],
])("%s is refused with a problem document", async (_name, request, status, code) => {
  const { head, body } = await rawAnswer(request);
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(head).toMatch(/^connection: close$/im);
  expect(problemDocumentSchema.parse(JSON.parse(body))).toMatchObject({ status, code });
});

test("only refused submissions are counted as refused submissions", async () => {
  const accepted = await send("generate", image);
  const { id } = (await accepted.json()) as { id: string };
  const cancel = (): Promise<Response> => api.request(`jobs/${id}/cancel`, { method: "POST" });
  expect([(await cancel()).status, (await cancel()).status]).toEqual([202, 409]);
  expect((await send("uploads", "no image", { "content-type": "image/png" })).status).toBe(415);
  expect((await api.request("nothing", { method: "POST" })).status).toBe(404);
  expect((await send("batches", `{"jobs":[{"type":"poem"}]}`)).status).toBe(422);
  expect((await send("generate/image", "{")).status).toBe(400);

  const text = await (await api.request("/metrics")).text();
  const counted = [...text.matchAll(/genga_submissions_refused_total\{.*?code="([\w-]+)"/g)].map(
    ([, code]) => code,
  );
  expect(counted).toEqual(expect.arrayContaining(["unknown-type", "malformed-json"]));
  for (const code of ["job-already-ended", "path-not-found"]) expect(counted).not.toContain(code);
});

test("requests that machines repeat every few seconds are logged at debug only", async () => {
  const levels: number[] = [];
  for (const path of ["health", "health/ready", "/metrics", "queue"]) {
    const response = await api.request(path);
    await response.text();
    const requestId = response.headers.get("x-request-id")!;
    let line: string | undefined;
    while (line === undefined) {
      await new Promise(setImmediate);
      line = api.logged.find((each) => each.includes(requestId));
    }
    levels.push((JSON.parse(line) as { level: number }).level);
  }
  const [debug, info] = [20, 30];
  expect(levels).toEqual([debug, debug, debug, info]);
});
