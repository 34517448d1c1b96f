import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ComfyUIConnector } from "@genga/comfyui";
import { type NewOutput } from "@genga/jobs";
import { createFolderStorage, type FolderStorage } from "@genga/storage";
import { ServerNames } from "../src/files/server-names.ts";
import { storeOutputs } from "../src/files/store-outputs.ts";

// A server that has these files and no others, as `/view` gives them, under names that nodes really choose.

let folder: string;
let storage: FolderStorage;
let server: Server;
let connector: ComfyUIConnector;
let files: Map<string, string>;
/** Files that are others each time they are asked for, until the last. */
let changing: Map<string, Buffer[]>;
/** How many requests a proxy before the server turns away. */
let deniedTimes: number;
/** What a proxy answers to the next requests instead of the server. */
let proxyAnswers: number[];
/** How often each file was asked for. */
let asked: Map<string | null, number>;
const png = Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\0IEND\xae\x42\x60\x82", "latin1");

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-store-outputs-"));
  storage = await createFolderStorage({ folder });
  files = new Map();
  changing = new Map();
  deniedTimes = 0;
  proxyAnswers = [];
  asked = new Map();
  server = createServer((request, response) => {
    const query = new URL(request.url ?? "", "http://localhost").searchParams;
    const place = [query.get("type"), query.get("subfolder"), query.get("filename")].join("|");
    const filename = query.get("filename");
    asked.set(filename, (asked.get(filename) ?? 0) + 1);
    const proxyAnswer = proxyAnswers.shift();
    if (proxyAnswer !== undefined) {
      response.writeHead(proxyAnswer).end();
      return;
    }
    const versions = changing.get(place) ?? [];
    const body = versions.length > 1 ? versions.shift() : (versions[0] ?? files.get(place));
    if (deniedTimes > 0) {
      deniedTimes -= 1;
      response.writeHead(401).end();
    } else if (body === "trouble") response.writeHead(500).end();
    else if (body === "cut off") response.destroy();
    else if (body === undefined) response.writeHead(404).end();
    else response.end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  connector = new ComfyUIConnector({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
});
afterEach(async () => {
  await connector.close();
  server.closeAllConnections();
  server.close();
  await once(server, "close");
  await rm(folder, { recursive: true, force: true });
});

const lease = { jobId: "0190b8a0-0000-7000-8000-000000000001", attempt: 1, leaseNumber: 3 };
const names = new ServerNames({ ...lease, tenantSecret: new Uint8Array(32) }, []);
const nothing = { keepPreviews: false, stripMetadata: false };

function store(
  outputs: Record<string, unknown>,
  wanted = nothing,
  shownText = (said: string) => said,
  graceMs = 50,
  mayMiss = false,
): Promise<NewOutput[]> {
  const history = { outputs } as unknown as Parameters<typeof storeOutputs>[0]["history"];
  const { signal } = new AbortController();
  return storeOutputs({
    connector,
    storage,
    lease,
    history,
    wanted,
    names,
    shownText,
    mayMiss,
    waitMs: 1,
    graceMs,
    signal,
  });
}

const listed = (filename: string, more: object = {}): object => ({
  filename,
  subfolder: "",
  type: "output",
  ...more,
});

describe("outputs of every kind", () => {
  test.each(["images", "gifs", "videos", "audio", "latents", "my custom key"])(
    "files under %s are stored, with the key that the node chose",
    async (key) => {
      files.set("output||a_00001_.bin", "content");
      const [output] = await store({ "7": { [key]: [listed("a_00001_.bin")], animated: [true] } });
      expect(output).toMatchObject({ kind: "file", nodeId: "7", key, filename: "a_00001_.bin", bytes: 7 });
      expect(await text(await storage.read(output!.storageKey!))).toBe("content");
    },
  );

  test("a 3D model that a node names in a text is stored, and where there is no such file the text is", async () => {
    files.set("output|3d|ComfyUI_00001.glb", "glTF");
    const outputs = await store({
      "1": { result: ["3d/ComfyUI_00001.glb", { position: {} }, null] },
      "2": { result: ["somewhere/else.glb"] },
    });
    expect(outputs).toMatchObject([
      { kind: "file", nodeId: "1", filename: "ComfyUI_00001.glb", bytes: 4 },
      { kind: "text", nodeId: "2", text: "somewhere/else.glb" },
    ]);
  });

  test("texts are kept as they are", async () => {
    const outputs = await store({ "3": { text: ["こんにちは", ""] } });
    expect(outputs.map((output) => [output.kind, output.text, output.bytes])).toEqual([
      ["text", "こんにちは", 15],
      ["text", "", 0],
    ]);
  });

  test.each([
    ["with spaces.png"],
    ["猫 と 桜 🌸.png"],
    [`it's "quoted" & 100% #1?.png`],
    ["ünïcödé+plus=eq.png"],
    ["-dash.png"],
    [".hidden.png"],
  ])("the file name %s is fetched and kept", async (name) => {
    files.set(`output|sub folder/é|${name}`, "x");
    const [output] = await store({ "1": { images: [listed(name, { subfolder: "sub folder/é" })] } });
    expect(output).toMatchObject({ filename: name, bytes: 1 });
    expect(await text(await storage.read(output!.storageKey!))).toBe("x");
  });

  test("many files of one node keep their order, and nodes come by number", async () => {
    const names = Array.from({ length: 12 }, (_unused, index) => `a_${index}.png`);
    for (const name of [...names, "b.png"]) files.set(`output||${name}`, name);
    const outputs = await store({
      "10": { images: [listed("b.png")] },
      "9": { images: names.map((name) => listed(name)) },
    });
    expect(outputs.map(({ filename }) => filename)).toEqual([...names, "b.png"]);
    expect(outputs.map(({ index }) => index)).toEqual(outputs.map((_output, index) => index));
  });
});

test("what clients may not read is cut out of texts, and of those in a PNG", async () => {
  const said = "key\0the key is a-secret";
  const chunk = Buffer.concat([Buffer.from(`tEXt${said}`), Buffer.alloc(4)]);
  chunk.writeUInt32BE(crc32(chunk.subarray(0, -4)), chunk.length - 4);
  const [signature, end, length] = [png.subarray(0, 8), png.subarray(8), Buffer.alloc(4)];
  length.writeUInt32BE(said.length);
  changing.set("output||a.png", [Buffer.concat([signature, length, chunk, end])]);
  const outputs = { "1": { images: [listed("a.png")] }, "2": { text: ["a-secret too"] } };
  const [picture, told] = await store(outputs, nothing, (text) => text.replaceAll("a-secret", "***"));
  expect(told!.text).toBe("*** too");
  const stored = await buffer(await storage.read(picture!.storageKey!));
  expect(stored.toString("latin1")).toContain("tEXtkey\0the key is ***");
});

describe("temporary files", () => {
  const outputs = {
    "1": { images: [listed("shown_1.png", { type: "temp" })] },
    "2": { images: [listed("kept_1.png")] },
  };

  test("are left where they are, unless previews are to be kept", async () => {
    files.set("temp||shown_1.png", "preview").set("output||kept_1.png", "picture");
    expect((await store(outputs)).map(({ filename }) => filename)).toEqual(["kept_1.png"]);
    const all = await store(outputs, { ...nothing, keepPreviews: true });
    expect(all.map(({ filename }) => filename)).toEqual(["shown_1.png", "kept_1.png"]);
  });

  test("are never files that were sent as inputs", async () => {
    const input = { "1": { images: [listed("mine.png", { type: "input" })] } };
    expect(await store(input, { ...nothing, keepPreviews: true })).toEqual([]);
  });
});

describe("a server that lies about its outputs", () => {
  test("a name with a literal %03d cannot be fetched: the file and the reason are named", async () => {
    await expect(
      store({ "12": { gifs: [listed("frames_%03d.png", { subfolder: "job" })] } }),
    ).rejects.toMatchObject({
      code: "output_missing",
      message: expect.stringContaining("job/frames_%03d.png") as unknown,
    });
  });

  test("a file that it fails to serve, however often it is asked, is not there", async () => {
    files.set("output||video.mp4", "trouble");
    await expect(store({ "12": { gifs: [listed("video.mp4")] } })).rejects.toMatchObject({
      code: "output_missing",
      errorClass: "execution",
      message: 'The server fails to serve its own output "video.mp4" of node 12.',
    });
  });

  test("a file is waited for while a proxy turns everybody away, longer than one that it fails to serve", async () => {
    files.set("output||late.png", "late");
    deniedTimes = 7;
    const wanted = { "3": { images: [listed("late.png")] } };
    const [output] = await store(wanted, nothing, (said) => said, 60_000);
    expect([output?.bytes, deniedTimes]).toEqual([4, 0]);
  });

  test("a file that it cut in half is fetched again, and stored once it is whole", async () => {
    changing.set("output||cut.png", [png.subarray(0, 12), png.subarray(0, 19), png]);
    const [output] = await store({ "3": { images: [listed("cut.png")] } });
    expect(output?.bytes).toBe(png.length);
    expect(await buffer(await storage.read(output!.storageKey!))).toEqual(png);
  });

  test("a file that stays cut in half is no output: the file, the node and the reason are named", async () => {
    changing.set("output||cut.png", [png.subarray(0, 19)]);
    await expect(store({ "3": { images: [listed("cut.png")] } })).rejects.toMatchObject({
      code: "output-truncated",
      message: expect.stringMatching(
        /"cut\.png" of node 3: The file breaks off in the middle: a PNG/,
      ) as unknown,
    });
  });

  test("a file without content is no output: the file, the node and the reason are named", async () => {
    files.set("output||ok.png", "x").set("output||video.mp4", "");
    const outputs = { "1": { images: [listed("ok.png")] }, "12": { gifs: [listed("video.mp4")] } };
    await expect(store(outputs)).rejects.toMatchObject({
      code: "output-empty",
      message: 'Output "video.mp4" of node 12: The output has no content.',
    });
    // What was stored before is gone again.
    await expect(
      storage.read("jobs/0190b8a0-0000-7000-8000-000000000001/1-3/0-ok.png").then((body) => buffer(body)),
    ).rejects.toMatchObject({ code: "output-missing" });
  });
});

describe("a prompt that may miss files", () => {
  const images = (...names: string[]): object => ({ "3": { images: names.map((name) => listed(name)) } });
  const storeWhatIsThere = (...filenames: string[]): Promise<NewOutput[]> =>
    store({ ...images(...filenames) }, nothing, (said) => said, 60_000, true);

  test.each([
    ["502, then 404", [502, 404]],
    ["502 twice, then 404 three times", [502, 502, 404, 404, 404]],
    ["404, 502 and 404 again", [404, 502, 404]],
  ])("has the file when a proxy answers %s, while the server restarts", async (_said, answers) => {
    files.set("output||late.png", "late");
    proxyAnswers = answers;
    expect(await storeWhatIsThere("late.png")).toMatchObject([{ kind: "file", bytes: 4 }]);
    expect(proxyAnswers).toEqual([]);
  });

  test("has a text with its name for each file that stays missing, which takes little time however many there are", async () => {
    files.set("output||there.png", "there");
    const outputs = await storeWhatIsThere("gone_1.png", "there.png", "gone_2.png", "gone_3.png");
    expect(outputs).toMatchObject([
      { kind: "text", text: "gone_1.png" },
      { kind: "file", filename: "there.png" },
      { kind: "text", text: "gone_2.png" },
      { kind: "text", text: "gone_3.png" },
    ]);
    expect([...asked]).toEqual([
      ["gone_1.png", 4],
      ["there.png", 1],
      ["gone_2.png", 2],
      ["gone_3.png", 2],
    ]);
  });
});

test("a server that breaks off one file for ever is not waited for longer than its grace", async () => {
  files.set("output||a.png", "cut off");
  await expect(store({ "1": { images: [listed("a.png")] } })).rejects.toMatchObject({
    code: "connection_lost",
  });
});
