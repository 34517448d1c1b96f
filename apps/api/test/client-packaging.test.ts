import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { type GengaClient } from "@genga/client";
import { findBrowser, openBrowser } from "@genga/testing";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const project = join(import.meta.dirname, "../../..");
const key = "studio-key-0123456789";

let api: ApiUnderTest;
let script: string;
beforeAll(async () => {
  api = await startApiUnderTest({ env: { API_KEYS: `studio:operate:${key}` } });
  // This fails where the client imports anything of Node.
  const entry = join(project, "packages/client/src/index.ts");
  const flags = ["--bundle", "--platform=browser", "--format=iife", "--global-name=genga"];
  const bundled = await run(require.resolve("esbuild/bin/esbuild"), [entry, ...flags], {
    maxBuffer: 10_000_000,
  });
  script = bundled.stdout;
});
afterAll(() => api.stop());

test("the generated types are those of the document that this API serves", async () => {
  await run(process.execPath, [join(project, "packages/client/generate.mjs"), "--check"]);
});

test("the client is small enough for pages", () => {
  expect(script.length).toBeLessThan(150_000);
});

const found = await findBrowser();
const inBrowser = "reason" in found ? test.skip : test;

inBrowser(
  `a page submits, waits, follows and downloads${"reason" in found ? ` (skipped: ${found.reason})` : ""}`,
  async () => {
    if ("reason" in found) return;
    const serverId = await api.worker.registerServer(
      "http://comfyui.test:8188",
      await recordedDefinitions("core"),
    );
    const browser = await openBrowser(found);
    try {
      // The pages of the API forbid scripts of others.
      const page = await browser.newPage({ bypassCSP: true });
      await page.goto(`${api.url}/`);
      await page.addScriptTag({ content: script });
      const id = await page.evaluate(inPage.submit, key);
      await api.worker.complete(await api.worker.claim(id, serverId), [
        { filename: "a.bin", body: Buffer.from("a picture") },
      ]);
      const seen = await page.evaluate(inPage.finish);
      expect(seen).toEqual({
        ...{ status: "completed", text: "a picture", kinds: ["snapshot", "event"] },
        ...{ code: "out-of-bounds", fields: ["width"], error: "GengaError" },
      });
    } finally {
      await browser.close();
    }
  },
);

/** What the bundle and these functions leave in the page. */
interface PageGlobals {
  genga: { GengaClient: typeof GengaClient };
  client: GengaClient;
  waiting: ReturnType<GengaClient["waitFor"]>;
  events: ReturnType<GengaClient["events"]>;
}

/** These run in the page, and see nothing of this file. */
const inPage = {
  submit: async (apiKey: string): Promise<string> => {
    const page = globalThis as unknown as PageGlobals & { location: { origin: string } };
    page.client = new page.genga.GengaClient({ baseUrl: page.location.origin, apiKey });
    page.events = page.client.events({ project: "pages", status: ["completed"] });
    await page.events.next();
    const job = await page.client.submit({ type: "image", prompt: "a cat", project: "pages" });
    page.waiting = page.client.waitFor(job.id);
    return job.id;
  },
  finish: async (): Promise<unknown> => {
    const page = globalThis as unknown as PageGlobals;
    const { id, status } = (await page.waiting) as { id: string; status: string };
    const [output] = await page.client.outputs(id);
    const download = await page.client.download(output!);
    const text = await new Response(download.body).text();
    const event = await page.events.next();
    await page.events.return();
    const refusal = await page.client
      .submit({ type: "image", prompt: "a cat", width: 7 })
      .then(
        undefined,
        (error: unknown) => error as { code: string; name: string; byField: Map<string, unknown> },
      );
    const { code, name, byField } = refusal as { code: string; name: string; byField: Map<string, unknown> };
    return {
      status,
      text,
      kinds: ["snapshot", event.value?.kind],
      code,
      error: name,
      fields: [...byField.keys()],
    };
  },
};
