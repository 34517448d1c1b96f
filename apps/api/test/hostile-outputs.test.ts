import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import ffmpeg from "@ffmpeg-installer/ffmpeg";
import { findBrowser, openBrowser } from "@genga/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type Browser, type BrowserContext, type Page } from "playwright-core";
import { type OutputView } from "../src/jobs/output-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const found = await findBrowser();
const described = "reason" in found ? describe.skip : describe;
const title = `an output, opened in Chromium${"reason" in found ? ` (skipped: ${found.reason})` : ""}`;

/** Names that a node may give its files, and what a browser saves them as. */
const oddNames: Readonly<Record<string, string>> = {
  'a"; filename="evil.exe': "a_; filename=_evil.exe",
  "a\r\nX-Evil: 1\r\n\r\n<script>.dat": "a__X-Evil_ 1_____script_.dat",
  "原画_🌸.dat": "原画_🌸.dat",
  "photo_\u202etad.exe": "photo__tad.exe",
  [`${"原".repeat(83)}.dat`]: `${"原".repeat(65)}.dat`,
};

/** How long a page is watched for what it might do. What the control does, it does well within that time. */
const watchMs = 1_000;

described(title, () => {
  let api: ApiUnderTest;
  let browser: Browser;
  let lure: Lure;
  let outputs: Map<string, OutputView>;
  let hostile: readonly HostileFile[];
  let script: string;

  beforeAll(async () => {
    if ("reason" in found) return;
    // Without keys everybody on this machine may do everything: here a script would get furthest.
    [api, browser, lure] = await Promise.all([startApiUnderTest(), openBrowser(found), openLure()]);
    const definitions = await recordedDefinitions("core");
    const serverId = await api.worker.registerServer("http://comfyui.test:8188", definitions);
    script = hostileScript(lure.url, api.url);
    hostile = hostileFiles(lure.url, script);
    const files = [
      ...hostile.map(({ name, body, mediaType }) => ({ filename: name, body: Buffer.from(body), mediaType })),
      { filename: "evil.js", body: Buffer.from(script), mediaType: "text/plain" },
      ...Object.keys(oddNames).map((name) => ({
        ...{ filename: name, body: Buffer.from(name), mediaType: "application/octet-stream" },
      })),
      ...(await playedFiles()),
    ];
    const { id } = (await (await api.post("generate", { type: "image", prompt: "a" })).json()) as {
      id: string;
    };
    await api.worker.complete(await api.worker.claim(id, serverId), files, [hostile[1]!.body]);
    const answer = (await (await api.request(`jobs/${id}/outputs`)).json()) as { outputs: OutputView[] };
    outputs = new Map(answer.outputs.map((output) => [output.filename ?? "text", output]));
    for (const { name, body } of hostile) lure.serve(`/${name}`, body);
  }, 180_000);
  afterAll(async () => {
    await browser.close();
    await lure.close();
    await api.stop();
  });
  beforeEach(() => {
    lure.hits.length = 0;
    api.logged.length = 0;
  });

  const contentOf = (name: string): string => outputs.get(name)!.links.content;
  /** Requests that the API was asked for, except for those that the test itself makes. */
  const apiRequests = (own: RegExp): string[] =>
    api.logged
      .map((line) => (JSON.parse(line) as { msg: string }).msg)
      .filter((message) => /^[A-Z]+ \//.test(message) && !own.test(message));

  async function inPage(work: (page: Page) => Promise<void>, options: object = {}): Promise<string[]> {
    const context: BrowserContext = await browser.newContext(options);
    const done: string[] = [];
    try {
      const page = await context.newPage();
      page.on("dialog", (dialog) => {
        done.push(`dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      page.on("popup", (popup) => done.push(`popup: ${popup.url()}`));
      page.on("console", (message) => {
        if (message.text().startsWith("ran:")) done.push(message.text());
      });
      await work(page);
      await page.waitForTimeout(watchMs);
    } finally {
      await context.close();
    }
    return [...done, ...lure.hits];
  }

  /** A navigation to an attachment ends as a download, and the page stays what it was. */
  async function openAsDownload(page: Page, link: string): Promise<string> {
    await page.goto("about:blank");
    const download = page.waitForEvent("download");
    await page.goto(link).catch(() => undefined);
    return (await download).suggestedFilename();
  }

  test("each hostile file does harm on a page without protection", async () => {
    for (const { name, mediaType } of hostile) {
      lure.mediaTypes.set(`/${name}`, mediaType);
      lure.hits.length = 0;
      const done = await inPage(async (page) => {
        await page.goto(`${lure.url}/${name}`);
      });
      expect([name, done.length > 0]).toEqual([name, true]);
    }
    // It has called the API, too, which is told there from what the test itself asks for.
    expect(apiRequests(/^GET/).length).toBeGreaterThan(0);
  });

  const names = ["evil.svg", "evil.html", "evil.xhtml"];

  test.each([...names, "text"])("is a download when it is %s: nothing of it runs", async (name) => {
    let filename = "";
    const done = await inPage(async (page) => {
      filename = await openAsDownload(page, contentOf(name));
      expect(page.url()).toBe("about:blank");
    });
    expect(filename).toBe(name === "text" ? `${outputs.get("text")!.id}.txt` : name);
    expect(done).toEqual([]);
    expect(apiRequests(/^GET \/api\/anime\/outputs\//)).toEqual([]);
  });

  test.each(names)("does nothing in a page of the same origin that embeds %s", async (name) => {
    const done = await inPage(
      async (page) => {
        // A page without scripts of its own.
        await page.goto(`${api.url}/openapi.json`);
        for (const tag of ["iframe", "embed", "object", "img", "script"])
          await embed(page, tag, contentOf(name));
      },
      // The page's own policy would keep most of that from it; here the output alone has to hold.
      { bypassCSP: true },
    );
    expect(done).toEqual([]);
    expect(apiRequests(/^GET \/(openapi\.json |api\/anime\/outputs\/|favicon)/)).toEqual([]);
  });

  test.each(names)("does nothing when a proxy removes the header that makes %s a download", async (name) => {
    const done = await inPage(async (page) => {
      await page.route(contentOf(name), async (route) => {
        const response = await route.fetch();
        const headers = response.headers();
        delete headers["content-disposition"];
        await route.fulfill({ response, headers });
      });
      await page.goto(contentOf(name));
      expect(page.url()).toBe(contentOf(name));
      // A link that runs a script runs none; the click itself may well do nothing.
      await page.mouse.click(20, 20);
    });
    expect(done).toEqual([]);
    expect(apiRequests(/^GET \/(api\/anime\/outputs\/|favicon)/)).toEqual([]);
  });

  test.each(Object.entries(oddNames))(
    "named %j is saved as %j, with no header of its own",
    async (name, saved) => {
      const link = contentOf(name);
      const { headers } = await api.request(link);
      expect(headers.get("x-evil")).toBeNull();
      expect(headers.get("content-disposition")).toMatch(/^attachment; /);
      const page = await browser.newPage();
      try {
        expect(await openAsDownload(page, link)).toBe(saved);
      } finally {
        await page.close();
      }
    },
  );

  test("is not taken for a script because of its content", async () => {
    const asScript = (link: string): Promise<string[]> =>
      inPage(
        async (page) => {
          await page.goto(api.url);
          await embed(page, "script", link);
        },
        { bypassCSP: true },
      );
    lure.serve("/evil.js", script);
    expect(await asScript(`${lure.url}/evil.js`)).toContain("ran: script");
    lure.hits.length = 0;
    expect(await asScript(contentOf("evil.js"))).toEqual([]);
  });

  test.each(["clip.mp4", "clip.webm", "voice.wav", "voice.mp3"])("plays when it is %s", async (name) => {
    const page = await browser.newPage();
    try {
      // The browser's own page about it loads it a second time, for its player.
      const forPlayer = page.waitForResponse((response) => response.request().resourceType() === "media");
      await page.goto(contentOf(name));
      expect((await forPlayer).url()).toBe(contentOf(name));
      expect((await forPlayer).ok()).toBe(true);
      // In that page no script runs, not even a test's: time goes on in it as seen from the page around it.
      await page.goto(api.url);
      await embed(page, "iframe", contentOf(name));
      expect(await page.evaluate(playedSeconds)).toBeGreaterThan(0.1);
    } finally {
      await page.close();
    }
  });
});

async function embed(page: Page, tag: string, link: string): Promise<void> {
  const attribute = tag === "object" ? "data" : "src";
  await page.evaluate(`{
    const element = document.createElement(${JSON.stringify(tag)});
    element.setAttribute(${JSON.stringify(attribute)}, ${JSON.stringify(link)});
    document.body.append(element);
  }`);
}

/** Resolves once some of what the first frame shows was played. */
const playedSeconds = `new Promise((resolve, reject) => {
  const look = () => {
    const player = document.querySelector("iframe").contentDocument?.querySelector("video");
    if (player?.error) reject(new Error(player.error.message));
    if (player?.currentTime > 0.1) resolve(player.currentTime);
    else {
      if (player?.paused) { player.muted = true; player.play().catch(() => undefined); }
      setTimeout(look, 20);
    }
  };
  look();
})`;

/** Where hostile files would like to go: counts who comes. */
interface Lure {
  url: string;
  hits: string[];
  mediaTypes: Map<string, string>;
  serve(path: string, body: string): void;
  close(): Promise<void>;
}

async function openLure(): Promise<Lure> {
  const bodies = new Map<string, string>([["/", "<!doctype html><title>lure</title>"]]);
  const mediaTypes = new Map<string, string>();
  const hits: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://lure").pathname;
    const body = bodies.get(path);
    if (body === undefined && path !== "/favicon.ico") hits.push(`${request.method ?? ""} ${path}`);
    const mediaType = mediaTypes.get(path) ?? (path.endsWith(".js") ? "text/plain" : "text/html");
    response.writeHead(200, { "content-type": mediaType, "access-control-allow-origin": "*" });
    response.end(body ?? "");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    hits,
    mediaTypes,
    serve: (path, body) => bodies.set(path, body),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

interface HostileFile {
  name: string;
  mediaType: string;
  body: string;
}

function hostileScript(lure: string, api: string): string {
  const post = `{method:"POST",headers:{"content-type":"application/json"},body:'{"prompt":"evil"}'}`;
  return [
    `console.log("ran: script"); new Image().src="${lure}/script";`,
    `fetch("${lure}/fetch",{mode:"no-cors"}); fetch("${api}/api/anime/generate/image",${post});`,
    `navigator.sendBeacon("${lure}/beacon"); open("${lure}/popup");`,
  ].join("");
}

/** Everything that a file can try which a browser shows as a document. */
function hostileFiles(lure: string, script: string): HostileFile[] {
  const call = `new Image().src='${lure}/handler';console.log('ran: handler')`;
  const markup = [
    `<a href="javascript:${call}" style="position:absolute;left:0;top:0;width:100px;height:100px;display:block">x</a>`,
    `<img src="x" onerror="${call}"/><img src="${lure}/img"/>`,
    `<iframe src="${lure}/iframe"></iframe><iframe src="javascript:parent.${call}"></iframe>`,
    `<object data="${lure}/object"></object><embed src="${lure}/embed"/>`,
    `<form action="${lure}/form" id="f"><input autofocus="autofocus" onfocus="${call}"/></form>`,
    `<video><source src="${lure}/video" onerror="${call}"/></video>`,
  ].join("");
  const head = [
    `<meta http-equiv="refresh" content="0;url=${lure}/refresh"/>`,
    `<link rel="stylesheet" href="${lure}/style"/><style>@import url("${lure}/import");</style>`,
  ].join("");
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="200" height="200" onload="${call}">`,
    `<script>${script}</script><image href="${lure}/image" width="9" height="9"/>`,
    `<foreignObject width="200" height="200"><div xmlns="http://www.w3.org/1999/xhtml">${markup}</div></foreignObject>`,
    `<a><animate attributeName="href" values="javascript:${call}"/><text x="10" y="25">x</text></a>`,
    `<style>@import url("${lure}/import");</style></svg>`,
  ].join("");
  const html = `<!doctype html><html><head>${head}</head><body onload="${call}">${markup}<script>${script}</script></body></html>`;
  const xhtml = `<html xmlns="http://www.w3.org/1999/xhtml"><head>${head}</head><body onload="${call}">${markup}<script>${script}</script></body></html>`;
  return [
    { name: "evil.svg", mediaType: "image/svg+xml", body: svg },
    { name: "evil.html", mediaType: "text/html", body: html },
    { name: "evil.xhtml", mediaType: "application/xhtml+xml", body: xhtml },
  ];
}

/** A second of a moving picture and of a tone, in the forms that servers make. */
async function playedFiles(): Promise<{ filename: string; body: Buffer; mediaType: string }[]> {
  const folder = await mkdtemp(join(tmpdir(), "genga-played-"));
  try {
    const picture = ["-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=8"];
    const tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1"];
    const forms = [
      [
        "clip.mp4",
        "video/mp4",
        [...picture, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
      ],
      ["clip.webm", "video/webm", [...picture, "-c:v", "libvpx"]],
      ["voice.wav", "audio/wav", tone],
      ["voice.mp3", "audio/mpeg", tone],
    ] as const;
    return await Promise.all(
      forms.map(async ([filename, mediaType, args]) => {
        const path = join(folder, filename);
        await promisify(execFile)(ffmpeg.path, ["-loglevel", "error", ...args, path]);
        return { filename, mediaType, body: await readFile(path) };
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
