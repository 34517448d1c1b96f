import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, rmSync } from "node:fs";
import { mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { createServer, request as sendRequest, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createCanvas } from "@napi-rs/canvas";
import { outputStorageKey, StorageError, type OutputStorage, type StoredFile } from "@genga/jobs";
import { openOutputStorage } from "@genga/storage";
import S3rver from "s3rver";
import { createS3Storage } from "../src/s3-storage.ts";

const bytesMax = 10_000_000;
// The client looks for credentials where AWS's tools look.
Object.assign(process.env, { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" });

let root: string;
let server: S3rver;
let port: number;
let isRunning: boolean;
let storage: OutputStorage;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "genga-s3-"));
  server = new S3rver({
    ...{ address: "127.0.0.1", port: 0, silent: true, directory: join(root, "buckets") },
    configureBuckets: [{ name: "outputs", configs: [] }],
  });
  ({ port } = await server.run());
  isRunning = true;
  storage = await openBucket("outputs", port, "studio/genga");
});

afterEach(async () => {
  if (isRunning) await server.close();
  await rm(root, { recursive: true });
});

function openBucket(bucket: string, port: number, prefix = ""): Promise<OutputStorage> {
  return openOutputStorage({ kind: "s3", bucket, prefix, endpoint: `http://127.0.0.1:${port}` }, root);
}

function keyOf(place: { jobId?: string; leaseNumber?: number; index?: number; filename?: string }): string {
  return outputStorageKey({ jobId: "j", attempt: 1, leaseNumber: 1, index: 0, filename: "a.png", ...place });
}

function write(content: Uint8Array | string, storageKey = keyOf({})): Promise<StoredFile> {
  return storage.write({ storageKey, body: Readable.from([Buffer.from(content)]), bytesMax });
}

const codeOf = async (failing: Promise<unknown>): Promise<string> => {
  const error: unknown = await failing.then(
    () => new Error("It did not fail."),
    (reason: unknown) => reason,
  );
  if (error instanceof StorageError) return `${error.code}${error.retryable ? ", retryable" : ""}`;
  throw error;
};

/** What has not been uploaded and not been removed. */
const partialFiles = (): Promise<string[]> => readdir(join(root, "partial"));

describe("a bucket", () => {
  test("keeps a picture that is measured on its way, under the prefix, and gives it back", async () => {
    const png = createCanvas(120, 80).toBuffer("image/png");
    const storageKey = keyOf({ filename: "桜 の木.png" });
    expect(await write(png, storageKey)).toEqual({
      ...{ storageKey, bytes: png.length, mediaType: "image/png", width: 120, height: 80, durationMs: null },
      sha256: createHash("sha256").update(png).digest("hex"),
    });
    expect(await buffer(await storage.read(storageKey))).toEqual(png);
    expect(await readdir(join(root, "buckets", "outputs", "studio", "genga"))).toContain("jobs");
    expect(await partialFiles()).toEqual([]);
  });

  test("gives ranges, both ends included", async () => {
    await write("0123456789");
    expect(await text(await storage.read(keyOf({}), { start: 2, end: 4 }))).toBe("234");
    expect(await codeOf(storage.read(keyOf({}), { start: 50, end: 60 }))).toBe("invalid-range");
  });

  test("refuses an empty body, one that is too large, and bad keys, and leaves nothing behind", async () => {
    expect(await codeOf(storage.write({ storageKey: keyOf({}), body: Readable.from([]), bytesMax }))).toBe(
      "output-empty",
    );
    const large = { storageKey: keyOf({}), body: Readable.from([Buffer.alloc(11)]), bytesMax: 10 };
    expect(await codeOf(storage.write(large))).toBe("output-too-large");
    expect(await codeOf(write("x", "jobs/../../etc/passwd"))).toBe("invalid-storage-key");
    expect(await codeOf(storage.read("../x"))).toBe("invalid-storage-key");
    expect(await codeOf(storage.read(keyOf({})))).toBe("output-missing");
    expect(await partialFiles()).toEqual([]);
  });

  test("has the room of the disk on which files grow on their way to it", async () => {
    const { bavail, bsize } = await statfs(root);
    const freeBytes = await storage.freeBytes();
    // Others write to the disk meanwhile.
    expect(Math.abs(freeBytes - bavail * bsize)).toBeLessThan(0.1 * bavail * bsize);
  });

  test("removes all files of many jobs, and nobody else's", async () => {
    const jobIds = Array.from({ length: 20 }, (_, index) => `many-${index}`);
    for (const jobId of jobIds) await write("x", keyOf({ jobId }));
    await write("kept", keyOf({ jobId: "kept" }));
    await storage.removeJobs([...jobIds, "never"]);
    for (const jobId of jobIds) expect(await codeOf(storage.read(keyOf({ jobId })))).toBe("output-missing");
    expect(await text(await storage.read(keyOf({ jobId: "kept" })))).toBe("kept");
  });

  test("ends with the signal, in the middle of a body", async () => {
    const body = new PassThrough();
    body.write("the first half");
    const stopping = new AbortController();
    const writing = storage.write({ storageKey: keyOf({}), body, bytesMax, signal: stopping.signal });
    stopping.abort(new Error("enough"));
    await expect(writing).rejects.toThrow("enough");
    expect(await partialFiles()).toEqual([]);
    expect(await codeOf(storage.read(keyOf({})))).toBe("output-missing");
  });

  test("removes objects, and misses none", async () => {
    const keys = Array.from({ length: 20 }, (_, index) => keyOf({ index }));
    await Promise.all(keys.map((key) => write("x", key)));
    await storage.remove([...keys, keyOf({ jobId: "never" })]);
    for (const key of keys) expect(await codeOf(storage.read(key))).toBe("output-missing");
  });

  test("removes files of a job's earlier leases, but neither files to keep nor files of later leases", async () => {
    const kept = [keyOf({ leaseNumber: 3 }), keyOf({ leaseNumber: 4 }), keyOf({ jobId: "j2" })];
    const left = [keyOf({ leaseNumber: 1 }), keyOf({ leaseNumber: 2 }), keyOf({ leaseNumber: 3, index: 1 })];
    for (const key of [...kept, ...left]) await write("x", key);
    expect(await storage.removeLeftovers({ jobId: "j", leaseNumber: 3, keep: [kept[0]!] })).toBe(3);
    for (const key of kept) expect(await text(await storage.read(key))).toBe("x");
    for (const key of left) expect(await codeOf(storage.read(key))).toBe("output-missing");
    expect(await storage.removeLeftovers({ jobId: "never", leaseNumber: 9, keep: [] })).toBe(0);
  });
});

describe("a bucket in trouble", () => {
  test("that is not there is refused at the start", async () => {
    expect(await codeOf(openBucket("none", port))).toBe("storage-refused");
  });

  test("that is away is worth another try", async () => {
    await server.close();
    isRunning = false;
    expect(await codeOf(write("x"))).toBe("storage-unavailable, retryable");
    expect(await partialFiles()).toEqual([]);
  });

  test("a disk that fails on the way to it ends the upload, not the process", async () => {
    const { signal } = new AbortController();
    // Looked at for the last time when the file is whole, and not yet opened for the upload.
    signal.throwIfAborted = () => {
      for (const name of readdirSync(join(root, "partial"))) rmSync(join(root, "partial", name));
    };
    const file = { storageKey: keyOf({}), body: Readable.from([Buffer.from("x")]), bytesMax, signal };
    expect(await codeOf(storage.write(file))).toBe("storage-unavailable, retryable");
  });

  test("a reader may stand still for longer than the bucket may be silent", async () => {
    const content = Buffer.alloc(8_000_000, 7);
    await write(content);
    const impatient = await openImpatient(port);
    const body = await impatient.read(keyOf({}));
    await sleep(4 * silenceMs);
    expect((await buffer(body)).equals(content)).toBe(true);
  });

  test("a bucket that is asked for a file and says nothing is away", async () => {
    const way = await startWay(() => undefined);
    try {
      const impatient = await openImpatient(way.port);
      way.silence();
      expect(await codeOf(impatient.read(keyOf({})))).toBe("storage-unavailable, retryable");
    } finally {
      way.close();
    }
  });

  test("reading ends with the signal, before the answer and in the middle of the body", async () => {
    await write(Buffer.alloc(8_000_000, 7));
    const stopping = new AbortController();
    const body = await storage.read(keyOf({}), undefined, stopping.signal);
    stopping.abort(new Error("enough"));
    await expect(buffer(body)).rejects.toMatchObject({ code: "ABORT_ERR" });
    await expect(storage.read(keyOf({}), undefined, stopping.signal)).rejects.toThrow("enough");
  });

  test.each([
    ["s3:PutObject", "PUT", false],
    ["s3:GetObject", "GET", false],
    ["s3:ListBucket", "GET", true],
    ["s3:DeleteObject", "DELETE", false],
  ])("that does not allow %s is refused at the start, by that name", async (permission, method, isList) => {
    const way = await startWay((request) =>
      request.method === method && request.url?.includes("list-type") === isList ? 403 : undefined,
    );
    try {
      const opening = openBucket("outputs", way.port, "studio");
      await expect(opening).rejects.toMatchObject({
        code: "storage-refused",
        message: expect.stringContaining(permission) as unknown,
      });
    } finally {
      way.close();
    }
  });

  test("a folder on the way to it that cannot be written to is refused at the start", async () => {
    await rm(join(root, "partial"), { recursive: true });
    await writeFile(join(root, "partial"), "");
    expect(await codeOf(openBucket("outputs", port))).toBe("storage-unavailable, retryable");
  });

  test("the trial at the start leaves nothing in it", async () => {
    await openBucket("outputs", port, "tried");
    expect(await readdir(join(root, "buckets", "outputs"), { recursive: true })).not.toContainEqual(
      expect.stringContaining("writable"),
    );
  });

  test.each([
    [503, "SlowDown", "storage-unavailable, retryable"],
    [507, "XMinioStorageFull", "storage-full, retryable"],
    [403, "AccessDenied", "storage-refused"],
    [400, "RequestTimeout", "storage-unavailable, retryable"],
    [400, "IncompleteBody", "storage-unavailable, retryable"],
    [400, "BadDigest", "storage-unavailable, retryable"],
    [400, "XAmzContentSHA256Mismatch", "storage-unavailable, retryable"],
    [400, "ExpiredToken", "storage-unavailable, retryable"],
    [403, "RequestTimeTooSkewed", "storage-unavailable, retryable"],
    [400, "InvalidArgument", "storage-refused"],
  ])("that answers %i %s says so", async (status, code, expected) => {
    const failing = await startFailingServer(status, code);
    try {
      expect(await codeOf(openBucket("outputs", (failing.address() as AddressInfo).port))).toBe(expected);
    } finally {
      failing.close();
      failing.closeAllConnections();
    }
  });
});

/** Far shorter than in life. */
const silenceMs = 150;

function openImpatient(port: number): Promise<OutputStorage> {
  const endpoint = `http://127.0.0.1:${port}`;
  const partialFolder = join(root, "partial");
  return createS3Storage({ bucket: "outputs", prefix: "studio/genga", endpoint, partialFolder, silenceMs });
}

/** Hands everything on to the bucket, except for what it refuses; can fall silent. */
async function startWay(
  refusal: (request: IncomingMessage) => number | undefined,
): Promise<{ port: number; silence: () => void; close: () => void }> {
  let isSilent = false;
  const way = createServer((request, response) => {
    const status = refusal(request);
    if (isSilent) return;
    if (status !== undefined) {
      request.resume();
      response.writeHead(status).end("<Error><Code>AccessDenied</Code></Error>");
      return;
    }
    const { method, url, headers } = request;
    const onward = sendRequest({ port, host: "127.0.0.1", method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  way.listen(0, "127.0.0.1");
  await once(way, "listening");
  return {
    port: (way.address() as AddressInfo).port,
    silence: () => {
      isSilent = true;
    },
    close: () => {
      way.close();
      way.closeAllConnections();
    },
  };
}

/** Answers everything with one of S3's errors, which a healthy S3 cannot be asked for. */
async function startFailingServer(status: number, code: string): Promise<Server> {
  const failing = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { "content-type": "application/xml" });
    response.end(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`);
  });
  failing.listen(0, "127.0.0.1");
  await once(failing, "listening");
  return failing;
}

describe("a link", () => {
  test("gives anybody the bytes, with the headers that were asked for, until it expires", async () => {
    await write("the picture");
    const answer = {
      mediaType: "image/png",
      contentDisposition: 'attachment; filename="a b.png"',
      expiresInSeconds: 60,
    };
    const url = (await storage.linkTo(keyOf({}), answer))!;
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([200, "the picture"]);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      ...{ "content-type": "image/png", "content-disposition": answer.contentDisposition },
      "cache-control": "private, max-age=60",
    });
    // This server does not check signatures; real ones do.
    const signed = new URL(url).searchParams;
    expect([signed.get("X-Amz-Expires"), signed.get("X-Amz-Signature")]).toEqual([
      "60",
      expect.stringMatching(/^[0-9a-f]{64}$/),
    ]);
  });

  test("leads to the address of clients, or to no bucket at all, as configured", async () => {
    const location = {
      kind: "s3",
      bucket: "outputs",
      prefix: "",
      endpoint: `http://127.0.0.1:${port}`,
    } as const;
    const answer = { mediaType: "image/png", contentDisposition: "inline", expiresInSeconds: 60 };
    const outside = await openOutputStorage({ ...location, publicUrl: "https://files.example/s3" }, root);
    expect(await outside.linkTo(keyOf({}), answer)).toMatch(/^https:\/\/files\.example\/s3\/outputs\/jobs\//);
    const api = await openOutputStorage({ ...location, linksTo: "api" }, root);
    expect(await api.linkTo(keyOf({}), answer)).toBeNull();
  });
});
