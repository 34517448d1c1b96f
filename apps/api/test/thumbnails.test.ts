import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { EventEmitter, once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, crc32 } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { defaultTenantId } from "@genga/database";
import { createFolderStorage } from "@genga/storage";
import { pino } from "pino";
import sharp, { type Sharp } from "sharp";
import { thumbnailSizes } from "../src/thumbnails/draw-thumbnail.ts";
import { findFfmpeg } from "../src/thumbnails/read-poster.ts";
import { ThumbnailCache } from "../src/thumbnails/thumbnail-cache.ts";
import { Thumbnails } from "../src/thumbnails/thumbnails.ts";
import { type JobView } from "../src/jobs/job-view.ts";
import { type OutputView } from "../src/jobs/output-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let folder: string;
let outputs: OutputView[];

const picture = (background: string, width = 800, height = 400): Sharp =>
  sharp({ create: { width, height, channels: 4, background } });

/** A PNG that says that it is larger than anything, with little behind it. */
function bomb(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const data = deflateSync(Buffer.alloc(1_000_000));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", data),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

async function video(name: string, ...encoding: string[]): Promise<Buffer> {
  const path = join(folder, name);
  const source = ["-f", "lavfi", "-i", "color=red:size=320x160:rate=8:duration=1"];
  execFileSync((await findFfmpeg(undefined))!, ["-v", "error", ...source, ...encoding, path]);
  return readFile(path);
}

const files = {
  png: 0,
  jpeg: 1,
  gif: 2,
  mp4: 3,
  webm: 4,
  bomb: 5,
  svg: 6,
  torn: 7,
  audio: 8,
  text: 9,
} as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-thumbnails-test-"));
  api = await startApiUnderTest();
  const serverId = await api.worker.registerServer(
    "http://comfyui.test:8188",
    await recordedDefinitions("core"),
  );
  const { id } = (await (await api.post("generate", { type: "image", prompt: "a cat" })).json()) as {
    id: string;
  };
  const frames = await Promise.all(["blue", "red"].map((each) => picture(each, 64, 64).png().toBuffer()));
  await api.worker.complete(
    await api.worker.claim(id, serverId),
    [
      { filename: "a.png", body: await picture("red").png().toBuffer() },
      {
        filename: "a.jpg",
        body: await picture("red").flatten().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
      },
      {
        filename: "a.gif",
        body: await sharp(frames, { join: { animated: true } })
          .gif()
          .toBuffer(),
      },
      {
        filename: "a.mp4",
        body: await video("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
        mediaType: "video/mp4",
      },
      { filename: "a.webm", body: await video("a.webm", "-c:v", "libvpx-vp9"), mediaType: "video/webm" },
      { filename: "bomb.png", body: bomb(100_000, 100_000), mediaType: "image/png" },
      {
        filename: "svg.png",
        body: Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>`),
        mediaType: "image/png",
      },
      { filename: "torn.mp4", body: Buffer.from("#EXTM3U\nfile:///etc/passwd\n"), mediaType: "video/mp4" },
      { filename: "a.wav", body: Buffer.from("RIFF"), mediaType: "audio/wav" },
    ],
    ["a text"],
  );
  ({ outputs } = (await (await api.request(`jobs/${id}/outputs`)).json()) as { outputs: OutputView[] });
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

const ask = (file: keyof typeof files, query = "", init?: RequestInit): Promise<Response> =>
  api.request(`outputs/${outputs[files[file]]!.id}/thumbnail${query}`, init);

test.each([
  ["png", "", "webp", 256, 128],
  ["png", "?size=64&format=jpeg", "jpeg", 64, 32],
  ["png", "?size=1024", "webp", 800, 400],
  ["jpeg", "", "webp", 128, 256],
  ["gif", "", "webp", 64, 64],
  ["mp4", "", "webp", 256, 128],
  ["webm", "?format=jpeg", "jpeg", 256, 128],
] as const)("%s%s is shown as %s, %i × %i", async (file, query, format, width, height) => {
  const response = await ask(file, query);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, `image/${format}`]);
  const thumbnail = sharp(Buffer.from(await response.arrayBuffer()));
  expect(await thumbnail.metadata()).toMatchObject({ format, width, height });
  const [red, green, blue] = (await thumbnail.stats()).channels.map(({ mean }) => mean);
  // The first frame of the animation is blue.
  const [strong, weak] = file === "gif" ? [blue!, red!] : [red!, blue!];
  expect([strong > 180, green! < 60, weak < 60]).toEqual([true, true, true]);
});

test.each(["bomb", "svg", "torn", "audio", "text"] as const)(
  "of %s there is none, and the answer says why",
  async (file) => {
    for (let again = 0; again < 2; again += 1) {
      const response = await ask(file);
      expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
        404,
        "no-thumbnail",
      ]);
    }
  },
);

test("a thumbnail may be cached for ever, and is linked to where there may be one", async () => {
  const response = await ask("png");
  await response.arrayBuffer();
  const etag = response.headers.get("etag")!;
  expect(response.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
  expect((await ask("png", "", { headers: { "if-none-match": etag } })).status).toBe(304);
  expect((await ask("png", "?size=64", { headers: { "if-none-match": etag } })).status).toBe(200);
  expect((await ask("png", "?size=100")).status).toBe(422);
  expect(outputs[files.png]!.links.thumbnail).toMatch(/\/thumbnail$/);
  expect(outputs[files.audio]!.links).not.toHaveProperty("thumbnail");
});

test("a job shows the thumbnail of its first picture, and links to it in lists", async () => {
  const { jobs } = (await (await api.request("jobs")).json()) as { jobs: JobView[] };
  const [job] = jobs;
  expect(job!.links["thumbnail"]).toMatch(new RegExp(`/jobs/${job!.id}/thumbnail$`));
  const ask = (path: string): Promise<[number, string]> =>
    api
      .request(path)
      .then(async (answer) => [answer.status, Buffer.from(await answer.arrayBuffer()).toString("base64")]);
  const path = `jobs/${job!.id}/thumbnail?size=64`;
  expect(await ask(path)).toEqual(await ask(`outputs/${outputs[files.png]!.id}/thumbnail?size=64`));
  const etag = (await api.request(path)).headers.get("etag")!;
  expect((await api.request(path, { headers: { "if-none-match": etag } })).status).toBe(304);
  const waiting = (await (await api.post("generate", { type: "image", prompt: "a dog" })).json()) as JobView;
  expect(waiting.links).not.toHaveProperty("thumbnail");
  const none = await api.request(`jobs/${waiting.id}/thumbnail`);
  expect([none.status, ((await none.json()) as { code: string }).code]).toEqual([404, "no-thumbnail"]);
});

const nobodyLeaves = (): AbortSignal => new AbortController().signal;

test("of many requests at once, one draws; nothing temporary is left", async () => {
  const storage = await createFolderStorage({ folder: `${api.env["DATA_DIR"]!}/outputs` });
  let reads = 0;
  const counted = Object.assign(Object.create(storage) as typeof storage, {
    read: (...asked: Parameters<typeof storage.read>) => {
      reads += 1;
      return storage.read(...asked);
    },
  });
  const cache = new ThumbnailCache({ folder: join(folder, "cache"), bytesMax: 1_000_000 });
  const temporary = join(folder, "temporary");
  const parts = {
    storage: counted,
    cache,
    folder: temporary,
    ffmpegPath: undefined,
    log: pino({ level: "silent" }),
  };
  const output = (await api.database.jobReader.of(defaultTenantId).findOutput(outputs[files.png]!.id))!;
  const wanted = { tenantId: defaultTenantId, output, size: 128, format: "webp" } as const;
  const drawn = await Promise.all(
    Array.from({ length: 20 }, () => new Thumbnails(parts).find(wanted, nobodyLeaves())),
  );
  expect(reads).toBe(20);
  const thumbnails = new Thumbnails({
    ...parts,
    cache: new ThumbnailCache({ folder: join(folder, "other"), bytesMax: 1_000_000 }),
  });
  await Promise.all(Array.from({ length: 20 }, () => thumbnails.find(wanted, nobodyLeaves())));
  expect(reads).toBe(21);
  expect((await new Thumbnails(parts).find(wanted, nobodyLeaves())).equals(drawn[0]!)).toBe(true);
  expect([reads, await readdir(temporary)]).toEqual([21, []]);
});

test("no tenant waits for all thumbnails of another, and what nobody waits for is not drawn", async () => {
  const storage = await createFolderStorage({ folder: `${api.env["DATA_DIR"]!}/outputs` });
  const reads: string[] = [];
  const gates: (() => void)[] = [];
  const begun = new EventEmitter();
  const gated = Object.assign(Object.create(storage) as typeof storage, {
    read: async (...asked: Parameters<typeof storage.read>) => {
      reads.push(asked[0]);
      await new Promise<void>((resolve) => {
        gates.push(resolve);
        begun.emit("read");
      });
      return await storage.read(...asked);
    },
  });
  let looks = 0;
  class LookedInto extends ThumbnailCache {
    override async find(name: string): Promise<Buffer | null> {
      const found = await super.find(name);
      looks += 1;
      begun.emit("look");
      return found;
    }
  }
  const thumbnails = new Thumbnails({
    ...{ storage: gated, folder: join(folder, "temporary"), ffmpegPath: undefined },
    cache: new LookedInto({ folder: join(folder, "gated"), bytesMax: 1_000_000 }),
    log: pino({ level: "silent" }),
  });
  const jobs = api.database.jobReader.of(defaultTenantId);
  const [png, gif] = await Promise.all(
    ([files.png, files.gif] as const).map(async (file) => (await jobs.findOutput(outputs[file]!.id))!),
  );
  const drawBy = (
    tenantId: string,
    output: typeof png,
    signal: AbortSignal = nobodyLeaves(),
  ): Promise<Buffer>[] =>
    thumbnailSizes.map((size) =>
      thumbnails.find({ tenantId, output: output!, size, format: "jpeg" }, signal),
    );
  const nextRead = async (count: number): Promise<void> => {
    while (reads.length < count) await once(begun, "read");
  };

  const greedy = drawBy("greedy", png);
  await nextRead(2);
  const [leaving, staying] = [new AbortController(), new AbortController()];
  const modest = drawBy("modest", gif, staying.signal);
  const gone = Promise.allSettled(drawBy("gone", png, leaving.signal));
  const alsoGone = Promise.allSettled(drawBy("greedy", png, leaving.signal));
  // All of them wait for their turn once the folder was looked into for them.
  while (looks < 15) await once(begun, "look");
  await new Promise((resolve) => setImmediate(resolve));
  leaving.abort();
  const left = [...(await gone), ...(await alsoGone)];
  expect(new Set(left.map(({ status }) => status))).toEqual(new Set(["rejected"]));
  // One after another may go on.
  const everything = Promise.all([...greedy, ...modest]);
  for (let count = 3; count <= 10; count += 1) {
    gates.shift()!();
    await nextRead(count);
  }
  for (const open of gates) open();
  await everything;
  const tenants = reads.map((key) => (key === png!.storageKey ? "greedy" : "modest"));
  expect(tenants).toHaveLength(10);
  expect(tenants.slice(0, 3)).toEqual(["greedy", "greedy", "modest"]);
  expect(tenants.slice(0, 7).filter((each) => each === "modest").length).toBeGreaterThanOrEqual(3);
}, 180_000);

test("a thumbnail whose only client leaves while it is drawn is drawn on, for who comes next", async () => {
  const storage = await createFolderStorage({ folder: `${api.env["DATA_DIR"]!}/outputs` });
  const gates: (() => void)[] = [];
  const begun = new EventEmitter();
  const gated = Object.assign(Object.create(storage) as typeof storage, {
    read: async (...asked: Parameters<typeof storage.read>) => {
      const opened = new Promise<void>((resolve) => gates.push(resolve));
      begun.emit("read");
      await opened;
      return await storage.read(...asked);
    },
  });
  let looks = 0;
  class LookedInto extends ThumbnailCache {
    override async find(name: string): Promise<Buffer | null> {
      looks += 1;
      return await super.find(name);
    }
  }
  const thumbnails = new Thumbnails({
    ...{ storage: gated, folder: join(folder, "temporary"), ffmpegPath: undefined },
    cache: new LookedInto({ folder: join(folder, "joined"), bytesMax: 1_000_000 }),
    log: pino({ level: "silent" }),
  });
  const output = (await api.database.jobReader.of(defaultTenantId).findOutput(outputs[files.png]!.id))!;
  const wanted = { tenantId: defaultTenantId, output, size: 128, format: "webp" } as const;
  const leaving = new AbortController();
  const reading = once(begun, "read");
  const left = thumbnails.find(wanted, leaving.signal);
  await reading;
  leaving.abort();
  await expect(left).rejects.toThrow();
  const joined = thumbnails.find(wanted, nobodyLeaves());
  gates[0]!();
  expect((await sharp(await joined).metadata()).width).toBe(128);
  expect([gates.length, looks]).toEqual([1, 1]);
  // It is under way no longer: the next one looks into the folder.
  await thumbnails.find(wanted, nobodyLeaves());
  expect([gates.length, looks]).toEqual([1, 2]);
});
