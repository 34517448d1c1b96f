import { createHash } from "node:crypto";
import { readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { defaultTenantId } from "@genga/database";
import { type OutputView } from "../src/jobs/output-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let outputs: OutputView[];
const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));

beforeAll(async () => {
  api = await startApiUnderTest();
  const serverId = await api.worker.registerServer(
    "http://comfyui.test:8188",
    await recordedDefinitions("core"),
  );
  const submitted = await api.post("generate", { type: "image", prompt: "a cat" });
  const { id } = (await submitted.json()) as { id: string };
  await api.worker.complete(
    await api.worker.claim(id, serverId),
    [
      { filename: "plain.png", body: bytes, mediaType: "image/png" },
      { filename: '原画 "x"; y.png', body: bytes, mediaType: "image/png" },
      { filename: "evil.svg", body: Buffer.from("<svg onload='alert(1)'/>"), mediaType: "image/svg+xml" },
      { filename: "evil.html", body: Buffer.from("<script>alert(1)</script>"), mediaType: "text/html" },
      { filename: "gone.png", body: Buffer.from("soon gone"), mediaType: "image/png" },
      { filename: "voice.wav", body: bytes, mediaType: "audio/wav" },
    ],
    ["a caption, 原画"],
  );
  ({ outputs } = (await (await api.request(`jobs/${id}/outputs`)).json()) as { outputs: OutputView[] });
  expect(outputs).toHaveLength(7);
});
afterAll(() => api.stop());

const contentOf = (index: number): string => outputs[index]!.links.content;

test("all bytes are sent, with type, length and checksum, and may be cached for ever", async () => {
  const response = await api.request(contentOf(0));
  const received = Buffer.from(await response.arrayBuffer());
  expect(response.status).toBe(200);
  expect(received.equals(bytes)).toBe(true);
  const sha256 = createHash("sha256").update(received).digest("hex");
  expect(outputs[0]!.sha256).toBe(sha256);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "image/png",
    "content-length": "1000",
    etag: `"${sha256}"`,
    "cache-control": "private, max-age=31536000, immutable",
    "accept-ranges": "bytes",
    "x-content-type-options": "nosniff",
    "content-disposition": "inline; filename=plain.png",
  });
});

test("HEAD has the same headers and no bytes", async () => {
  const response = await api.request(contentOf(0), { method: "HEAD" });
  expect([response.status, response.headers.get("content-length"), await response.text()]).toEqual([
    200,
    "1000",
    "",
  ]);
});

test.each([
  ["bytes=0-99", 206, "bytes 0-99/1000", 100],
  ["bytes=900-", 206, "bytes 900-999/1000", 100],
  ["bytes=-1", 206, "bytes 999-999/1000", 1],
  ["bytes=0-1,5-6", 200, null, 1000],
])("the range %s is answered with %s", async (range, status, contentRange, length) => {
  const response = await api.request(contentOf(0), { headers: { range } });
  const received = Buffer.from(await response.arrayBuffer());
  expect([response.status, response.headers.get("content-range"), received.length]).toEqual([
    status,
    contentRange,
    length,
  ]);
  const start = contentRange === null ? 0 : Number(/\d+/.exec(contentRange)![0]);
  expect(received.equals(bytes.subarray(start, start + length))).toBe(true);
});

test("a range outside of the file is refused with the file's length", async () => {
  const response = await api.request(contentOf(0), { headers: { range: "bytes=1000-" } });
  expect([response.status, response.headers.get("content-range")]).toEqual([416, "bytes */1000"]);
  expect(await response.json()).toMatchObject({ code: "range-not-satisfiable" });
});

test("a range after a change is answered with the whole file", async () => {
  const headers = { range: "bytes=0-9", "if-range": '"another"' };
  expect((await api.request(contentOf(0), { headers })).status).toBe(200);
});

test("a client that has the bytes gets 304", async () => {
  const etag = `"${outputs[0]!.sha256}"`;
  for (const given of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
    // As `fetch` sends them, which Express's own check would answer with all the bytes.
    const headers = { "if-none-match": given, "cache-control": "no-cache" };
    const response = await api.request(contentOf(0), { headers });
    expect([response.status, await response.text()]).toEqual([304, ""]);
  }
  expect((await api.request(contentOf(0), { headers: { "if-none-match": '"x"' } })).status).toBe(200);
});

test("a file name is sent so that no character in it has a meaning", async () => {
  const { headers } = await api.request(contentOf(1));
  expect(headers.get("content-disposition")).toBe(
    `inline; filename="__ _x__ y.png"; filename*=UTF-8''%E5%8E%9F%E7%94%BB%20%22x%22%3B%20y.png`,
  );
});

test.each([2, 3, 6])("content that could run in a browser is never shown there", async (index) => {
  const { headers } = await api.request(contentOf(index));
  expect(headers.get("content-disposition")).toMatch(/^attachment;/);
  expect(headers.get("content-security-policy")).toBe("default-src 'none'; sandbox");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
});

test("a sound's link plays in a browser: its page may load it once more, and do nothing else", async () => {
  const { headers } = await api.request(contentOf(5));
  expect(headers.get("content-disposition")).toMatch(/^inline;/);
  expect(headers.get("content-security-policy")).toBe(
    "default-src 'none'; media-src 'self'; sandbox allow-same-origin",
  );
});

test("a text output is text", async () => {
  const response = await api.request(contentOf(6));
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(await response.text()).toBe("a caption, 原画");
  expect(outputs[6]).toMatchObject({ kind: "text", text: "a caption, 原画" });
});

test("a missing file and a text that is no id are not found", async () => {
  const { createFolderStorage } = await import("@genga/storage");
  const storage = await createFolderStorage({ folder: `${api.env["DATA_DIR"]!}/outputs` });
  const row = await api.database.jobReader.of(defaultTenantId).findOutput(outputs[4]!.id);
  await storage.remove([row!.storageKey!]);
  for (const path of [contentOf(4), "outputs/7", "outputs/00000000-0000-7000-8000-000000000001"]) {
    const response = await api.request(path);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      404,
      "output-not-found",
    ]);
    expect(response.headers.get("cache-control") ?? "").not.toContain("immutable");
  }
});

test("a client that leaves early breaks nothing", async () => {
  const leaving = new AbortController();
  const response = await api.request(contentOf(0), { signal: leaving.signal });
  leaving.abort();
  await expect(response.arrayBuffer()).rejects.toThrow();
  expect((await api.request(contentOf(0))).status).toBe(200);
});

test("half-written files of a crashed API are removed when the next one starts", async () => {
  const crashed = join(api.env["DATA_DIR"]!, "outputs", ".partial", "crashed");
  await writeFile(crashed, "half");
  await utimes(crashed, new Date(), new Date(Date.now() - 2 * 3_600_000));
  await api.startAnother();
  await expect(readFile(crashed)).rejects.toThrow("ENOENT");
});
