import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32, deflateSync } from "node:zlib";
import { startTcpProxy } from "@genga/testing";
import sharp, { type Sharp } from "sharp";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { mp4That } from "./mp4-that.ts";

// Two tenants on one API; servers with the recorded nodes.

type Body = NonNullable<RequestInit["body"]>;
interface Uploaded {
  id: string;
  name: string;
  sha256: string;
  mediaType: string;
  width: number;
  height: number;
  links: Record<string, string>;
}
interface Problem {
  code: string;
  problems?: { path: string; code: string; nodeId?: string }[];
}

let api: ApiUnderTest;
const own = { authorization: "Bearer key-of-studio" };
const other = { authorization: "Bearer key-of-atelier" };

beforeAll(async () => {
  api = await startApiUnderTest({ env: { API_KEYS: "studio:key-of-studio,atelier:key-of-atelier" } });
  await api.worker.registerServer("http://gpu-1", await recordedDefinitions("core", "animatediff"));
});
afterAll(async () => {
  await api.stop();
});

const picture = (width: number, height: number, color = "#406080"): Sharp =>
  sharp({ create: { width, height, channels: 3, background: color } });

function send(body: Body, type: string | undefined, headers: object = own): Promise<Response> {
  return api.request("uploads", {
    method: "POST",
    headers: { ...headers, ...(type === undefined ? {} : { "content-type": type }) },
    body,
  });
}
/** A PNG with one chunk more, behind its head or before its end. */
function withChunk(png: Uint8Array, type: string, data: Uint8Array, isLast: boolean): Buffer<ArrayBuffer> {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  // A signature of 8 bytes and a head of 25; the end has 12.
  const at = isLast ? png.length - 12 : 33;
  return Buffer.concat([png.subarray(0, at), length, body, checksum, png.subarray(at)]);
}

const bytes = async (image: Sharp): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await image.png().toBuffer());
const upload = async (image: Sharp, headers = own): Promise<Uploaded> => {
  const response = await send(await bytes(image), "image/png", headers);
  expect(response.status).toBe(201);
  return (await response.json()) as Uploaded;
};
const submit = (parameters: object, headers: Record<string, string> = own): Promise<Response> =>
  api.post("generate", { type: "image", prompt: "a cat", ...parameters }, headers);

describe("an upload", () => {
  test("is described by its content: type, size and hash", async () => {
    const png = await bytes(picture(320, 200));
    const response = await send(png, "image/png");
    expect(response.status).toBe(201);
    const sent = (await response.json()) as Uploaded;
    expect(response.headers.get("location")).toBe(sent.links["self"]);
    expect(sent).toMatchObject({ mediaType: "image/png", width: 320, height: 200, bytes: png.length });
    expect(sent.name).toBe(`genga/${sent.sha256}.png`);
    const again = await api.request(sent.links["self"]!, { headers: own });
    expect(await again.json()).toEqual(sent);
  });

  test("may be sent in a form with any declared type, and is the same upload when it is sent again", async () => {
    const jpeg = new Uint8Array(await picture(64, 96).jpeg().toBuffer());
    const form = new FormData();
    form.set("image", new Blob([jpeg], { type: "text/plain" }), 'a "cat" 猫.gif');
    const first = (await (await send(form, undefined)).json()) as Uploaded;
    const second = (await (await send(jpeg, "application/octet-stream")).json()) as Uploaded;
    expect(first).toMatchObject({ mediaType: "image/jpeg", width: 64, height: 96 });
    expect(second).toEqual(first);
  });

  test("may be a film, and is kept byte by byte", async () => {
    const film = mp4That({ samples: 16 });
    const sent = (await (await send(film, "video/mp4")).json()) as Uploaded;
    expect(sent).toMatchObject({
      mediaType: "video/mp4",
      width: 64,
      height: 48,
      frames: 16,
      durationMs: 2000,
    });
    expect(sent.name).toBe(`genga/${sent.sha256}.mp4`);
    const again = await api.request(sent.links["self"]!, { headers: own });
    expect(await again.json()).toEqual(sent);
    expect(await (await send(film, "video/mp4", { ...own, "content-encoding": "identity" })).json()).toEqual(
      sent,
    );
  });

  test("may come with others in a form, whose names reach no file", async () => {
    const form = new FormData();
    const films = [1, 2, 3].map((samples) => mp4That({ samples, ticks: 77 }));
    const names = ["../../../../tmp/genga-hostile.mp4", "C:\\genga.mp4\0.png", "%2e%2e%2fgenga".repeat(50)];
    const fields = ["__proto__", "image", "constructor"];
    for (const [index, film] of films.entries()) form.set(fields[index]!, new Blob([film]), names[index]);
    form.set("id", "not a file");
    const response = await send(form, undefined);
    const text = await response.text();
    expect([response.status, text]).toEqual([201, expect.not.stringContaining("hostile")]);
    const first = JSON.parse(text) as Uploaded & { others: Uploaded[] };
    expect([first, ...first.others]).toMatchObject([{ frames: 1 }, { frames: 2 }, { frames: 3 }]);
    expect(existsSync("/tmp/genga-hostile.mp4")).toBe(false);
    for (const { links } of first.others)
      expect((await api.request(links["self"]!, { headers: own })).status).toBe(200);
  });

  test("of which one is refused refuses the form, and so do too many, or none", async () => {
    const formOf = (contents: (string | Buffer<ArrayBuffer>)[]): FormData => {
      const form = new FormData();
      for (const content of contents) form.append("files", new Blob([content]), "a.png");
      return form;
    };
    const film = mp4That();
    const wrong = await send(formOf([film, "no picture", film]), undefined);
    expect([wrong.status, ((await wrong.json()) as Problem).code]).toEqual([415, "unsupported-media-type"]);
    const many = await send(formOf(Array.from({ length: 17 }, () => film)), undefined);
    expect([many.status, ((await many.json()) as Problem).code]).toEqual([400, "bad-request"]);
    const large = await send(formOf([film, Buffer.alloc(97 * 1024 * 1024)]), undefined);
    expect([large.status, ((await large.json()) as Problem).code]).toEqual([413, "body-too-large"]);
    expect((await send(formOf([]), undefined)).status).toBe(400);
  });

  test("is measured after the rotation that its file asks for", async () => {
    const turned = new Uint8Array(await picture(100, 60).jpeg().withMetadata({ orientation: 6 }).toBuffer());
    expect(await (await send(turned, "image/jpeg")).json()).toMatchObject({ width: 60, height: 100 });
  });

  test.each<[string, () => Promise<[Body, string]>, number, string]>([
    ["of text", () => Promise.resolve(["a cat", "image/png"]), 415, "unsupported-media-type"],
    ["of nothing", () => Promise.resolve(["", "image/png"]), 422, "invalid-image"],
    ["of JSON", () => Promise.resolve(["{}", "application/json"]), 415, "unsupported-media-type"],
    [
      "of another kind",
      async () => [new Uint8Array(await picture(64, 64).tiff().toBuffer()), "image/png"],
      415,
      "unsupported-media-type",
    ],
    [
      "that ends too soon",
      async () => [(await bytes(picture(512, 512).blur(5))).slice(0, -300), "image/png"],
      422,
      "invalid-image",
    ],
    ["that is too small", async () => [await bytes(picture(8, 64)), "image/png"], 422, "invalid-image"],
    ["with sides too long", async () => [await bytes(picture(8200, 16)), "image/png"], 422, "invalid-image"],
    [
      "that is too large",
      async () => [
        Buffer.concat([await bytes(picture(64, 64)), Buffer.alloc(21 * 1024 * 1024)]),
        "image/png",
      ],
      413,
      "body-too-large",
    ],
    [
      "larger than any file may be",
      () => Promise.resolve([new Uint8Array(97 * 1024 * 1024), "video/mp4"]),
      413,
      "body-too-large",
    ],
    [
      "of a small film with huge pictures",
      () => Promise.resolve([mp4That({ width: 16_000, height: 16_000 }), "video/mp4"]),
      422,
      "invalid-video",
    ],
    [
      "as a broken form",
      () => Promise.resolve(["--x", "multipart/form-data; boundary=y"]),
      400,
      "bad-request",
    ],
  ])("%s is refused, and says why", async (_name, make, status, code) => {
    const response = await send(...(await make()));
    const problem = (await response.json()) as Problem;
    expect([response.status, problem.code]).toEqual([status, code]);
  });

  test.each<[string, (text: Buffer) => Buffer]>([
    ["zTXt", (text) => Buffer.concat([Buffer.from("Comment\0\0"), deflateSync(text)])],
    ["iTXt", (text) => Buffer.concat([Buffer.from("Comment\0\x01\0en\0Comment\0"), deflateSync(text)])],
    ["iCCP", (text) => Buffer.concat([Buffer.from("profile\0\0"), deflateSync(text)])],
  ])("is refused when its chunk %s inflates beyond what servers read", async (type, dataOf) => {
    const png = Buffer.from(await bytes(picture(32, 32)));
    for (const isLast of [false, true]) {
      const swollen = withChunk(png, type, dataOf(Buffer.alloc(1024 * 1024 + 1)), isLast);
      const response = await send(new Uint8Array(swollen), "image/png");
      expect(response.status).toBe(422);
      const problem = (await response.json()) as Problem & { detail: string };
      expect(problem).toMatchObject({ code: "invalid-image" });
      expect(problem.detail).toContain(type);
    }
    const fitting = withChunk(png, type, dataOf(Buffer.alloc(1024 * 1024)), type !== "iCCP");
    expect((await send(new Uint8Array(fitting), "image/png")).status).toBe(201);
  });

  test("is refused when its texts inflate beyond what servers read, each for itself being small", async () => {
    let png = Buffer.from(await bytes(picture(32, 32)));
    const text = Buffer.concat([Buffer.from("Comment\0\0"), deflateSync(Buffer.alloc(1024 * 1024))]);
    for (let count = 0; count < 65; count += 1) png = withChunk(png, "zTXt", text, false);
    const response = await send(new Uint8Array(png), "image/png");
    expect([response.status, ((await response.json()) as Problem).code]).toEqual([422, "invalid-image"]);
  });

  test("is refused while the tenant sends eight others, however slowly", async () => {
    const film = mp4That();
    const slow = Array.from({ length: 9 }, () => {
      const headers = { ...own, "content-type": "video/mp4", "content-length": film.length };
      const sending = httpRequest(new URL("/api/anime/uploads", api.url), { method: "POST", headers });
      sending.on("error", () => undefined).write(film.subarray(0, film.length - 1));
      return sending;
    });
    // The ninth, whichever it is.
    const [answer] = await Promise.race(
      slow.map((sending) => once(sending, "response") as Promise<[IncomingMessage]>),
    );
    expect([answer.statusCode, answer.headers["retry-after"]]).toEqual([503, "2"]);
    const refused = await send(film, "video/mp4");
    expect([refused.status, ((await refused.json()) as Problem).code]).toEqual([503, "too-many-bodies"]);
    expect((await send(film, "video/mp4", other)).status).toBe(201);
    for (const sending of slow) sending.destroy();
    while ((await send(film, "video/mp4")).status !== 201) await sleep(50);
  });

  test("of another tenant is unknown", async () => {
    const theirs = await upload(picture(80, 80, "#ff0000"), other);
    const look = await api.request(`uploads/${theirs.id}`, { headers: own });
    expect([look.status, ((await look.json()) as Problem).code]).toEqual([404, "upload-not-found"]);
    const use = await submit({ initImage: theirs.id });
    expect(use.status).toBe(422);
    expect(await use.json()).toMatchObject({
      code: "unknown-upload",
      problems: [{ path: "initImage", code: "unknown-upload" }],
    });
    expect((await submit({ initImage: theirs.id }, other)).status).toBe(202);
  });
});

describe("a job that names uploads", () => {
  test("is drawn at the start image's size, from a file named by its content", async () => {
    const image = await upload(picture(640, 320));
    const response = await submit({ initImage: image.id, denoise: 0.5 });
    expect(response.status).toBe(202);
    const { id } = (await response.json()) as { id: string };
    const { parameters } = (await (await api.request(`jobs/${id}/parameters`, { headers: own })).json()) as {
      parameters: object;
    };
    expect(parameters).toMatchObject({ initImage: image.id, width: 640, height: 320, denoise: 0.5 });
    const workflow = (await (await api.request(`jobs/${id}/workflow`, { headers: own })).json()) as object;
    expect(JSON.stringify(workflow)).toContain(image.name);
  });

  test("in a batch is refused with the job's place and the parameter's name", async () => {
    const missing = "0190b8a0-0000-7000-8000-00000000ffff";
    const jobs = [
      { type: "image", prompt: "a cat" },
      { type: "video", prompt: "a cat", initImage: missing },
    ];
    const response = await api.post("batches", { jobs }, own);
    expect(response.status).toBe(422);
    const { problems } = (await response.json()) as Problem;
    expect(problems).toMatchObject([{ path: "jobs.1.initImage", code: "unknown-upload" }]);
  });

  test("in a batch is looked up for all jobs with as many statements as for one", async () => {
    const images: Uploaded[] = [];
    for (let index = 0; index < 12; index += 1) images.push(await upload(picture(64 + index, 64)));
    const proxy = await startTcpProxy({ targetUrl: api.env["DATABASE_URL"]! });
    const behind = await api.startAnother({ DATABASE_URL: proxy.url });
    try {
      const statementsFor = async (used: Uploaded[]): Promise<number> => {
        let statements = 0;
        const stop = proxy.observe(({ direction, data }) => {
          const text = data.toString("latin1");
          if (direction === "to-target")
            statements += [...text.matchAll(/SELECT[^;]*?FROM (?:"public"\.)?"?uploads\b/g)].length;
        });
        const jobs = used.flatMap(({ id, name }) => [
          { type: "image", prompt: "a cat", initImage: id },
          {
            type: "workflow",
            workflow: {
              "1": { class_type: "LoadImage", inputs: { image: name } },
              "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
            },
          },
        ]);
        const headers = { ...own, "content-type": "application/json" };
        const body = JSON.stringify({ jobs });
        const response = await fetch(new URL("/api/anime/batches", behind.url), {
          method: "POST",
          headers,
          body,
        });
        expect(response.status).toBe(202);
        stop();
        return statements;
      };
      const forOne = await statementsFor(images.slice(0, 1));
      expect(forOne).toBeGreaterThan(0);
      expect(await statementsFor(images)).toBe(forOne);
    } finally {
      await behind.stop();
      await proxy.close();
    }
  });

  test("in a raw workflow names them as the upload's answer did, and only the tenant's own", async () => {
    const image = await upload(picture(128, 128, "#00ff00"));
    const workflowOf = (name: string): object => ({
      "1": { class_type: "LoadImage", inputs: { image: name } },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
    });
    const submitRaw = (name: string): Promise<Response> =>
      api.post("generate", { type: "workflow", workflow: workflowOf(name) }, own);
    expect((await submitRaw(image.name)).status).toBe(202);
    const refused = await submitRaw(`genga/${"0".repeat(64)}.png`);
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({
      problems: [{ path: "workflow.1.inputs.image", code: "unknown-upload", nodeId: "1" }],
    });
  });

  test("in a raw workflow is refused where the node reads another kind of file", async () => {
    const film = (await (await send(mp4That({ samples: 5 }), "video/mp4")).json()) as Uploaded;
    const still = await upload(picture(96, 96, "#0000ff"));
    const problemsOf = async (classType: string, input: string, name: string): Promise<unknown> => {
      const workflow = {
        "1": { class_type: classType, inputs: { [input]: name, channel: "red" } },
        "2": { class_type: "LoadImage", inputs: { image: still.name } },
        "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "x" } },
      };
      const response = await api.post("generate", { type: "workflow", workflow }, own);
      return response.status === 202 ? [] : ((await response.json()) as Problem).problems;
    };
    const wrong = (input: string): object[] => [
      { path: `workflow.1.inputs.${input}`, code: "wrong-kind-of-file", nodeId: "1", input },
    ];
    for (const loader of ["LoadImage", "LoadImageMask"]) {
      expect(await problemsOf(loader, "image", film.name)).toMatchObject(wrong("image"));
      expect(await problemsOf(loader, "image", still.name)).toEqual([]);
    }
    expect(await problemsOf("LoadVideo", "file", still.name)).toMatchObject(wrong("file"));
    expect(await problemsOf("LoadVideo", "file", film.name)).toEqual([]);
    // The name says the type, too: a server would look for a file that is not there.
    expect(await problemsOf("LoadImage", "image", film.name.replace("mp4", "png"))).toMatchObject([
      { code: "unknown-upload", nodeId: "1" },
    ]);
    const start = await submit({ initImage: film.id });
    expect(await start.json()).toMatchObject({
      problems: [{ path: "initImage", code: "wrong-kind-of-file" }],
    });
  });
});
