// `npm run screenshots`: starts everything with simulated servers, submits a batch, and saves pictures of the views in
// docs/images. The README shows two of them.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { GengaClient } from "@genga/client";
import { findBrowser, openBrowser } from "@genga/testing";
import { type Browser } from "playwright-core";

const project = fileURLToPath(new URL("../../..", import.meta.url));
const images = join(project, "docs", "images");

const prompts = [
  "a lighthouse above a sea of clouds, sunset, warm light",
  "a girl with a red scarf feeding pigeons in a snowy park",
  "a train station in the countryside, sunflowers, summer afternoon",
  "a young inventor and a friendly robot in a workshop full of plants",
  "a small bookshop on a rainy evening street, lanterns",
  "a fox spirit asleep under a cherry tree, falling petals",
  "a cat watching fireworks from a tiled roof, summer festival",
  "a tea house by a mountain lake, autumn leaves, morning mist",
];

const found = await findBrowser();
if ("reason" in found) throw new Error(`Pictures need a browser, and ${found.reason}.`);
const folder = await mkdtemp(join(tmpdir(), "genga-screenshots-"));
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const everything = spawn(process.execPath, [join(project, "apps/standalone/bootstrap.mjs"), "start"], {
  cwd: project,
  env: { ...process.env, PORT: String(port), DATA_DIR: folder, LOG_LEVEL: "warn" },
  stdio: ["ignore", "ignore", "inherit"],
});
try {
  const client = new GengaClient({ baseUrl: url });
  await untilReady(client, everything);
  const browser = await openBrowser(found);
  try {
    await takePictures(client, browser);
  } finally {
    await browser.close();
  }
} finally {
  const ended = once(everything, "exit");
  everything.kill("SIGTERM");
  await ended;
  await rm(folder, { recursive: true, force: true });
}

async function takePictures(client: GengaClient, browser: Browser): Promise<void> {
  const jobs = prompts.map((prompt, index) => ({
    ...({ type: "image", width: 768, height: 512 } as const),
    ...{ prompt, seed: 1_000 + index, project: "opening", tags: ["screenshots"] },
  }));
  const early = await client.submitBatch({ name: "Opening, first drafts", jobs });
  await client.waitFor(early.id);
  const running = await client.submitBatch({
    name: "Opening, second drafts",
    jobs: [...jobs, ...jobs, ...jobs],
  });
  await mkdir(images, { recursive: true });
  const [made] = early.jobs;
  const views = {
    jobs: "/jobs",
    job: `/jobs/${made?.id ?? ""}`,
    overview: "/",
    batch: `/batches/${early.id}`,
    servers: "/servers",
    queue: "/queue",
    create: "/create",
    settings: "/settings/about",
  };
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  for (const [name, path] of Object.entries(views)) {
    await page.goto(`${url}${path}`);
    await page.getByRole("heading", { level: 2 }).first().waitFor();
    await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
    await page.waitForLoadState("load");
    // Pictures of outputs are read after the view.
    await Promise.allSettled((await page.locator("img").all()).map((image) => image.evaluate(decoded)));
    await page.screenshot({ path: join(images, `dashboard-${name}.png`) });
    console.log(`docs/images/dashboard-${name}.png`);
  }
  await context.close();
  await client.cancel(running.id);
}

async function decoded(element: unknown): Promise<void> {
  await (element as { decode: () => Promise<void> }).decode();
}

async function untilReady(client: GengaClient, process: ChildProcess): Promise<void> {
  const startMs = 180_000;
  for (let waitedMs = 0; waitedMs < startMs; waitedMs += 500) {
    await delay(500);
    if (process.exitCode !== null) throw new Error("Genga did not start; its reasons are above.");
    const health = await client.http.GET("/api/anime/health").catch(() => undefined);
    if (health?.data?.status === "ok") return;
  }
  throw new Error("Genga was not ready in time.");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return free;
}
