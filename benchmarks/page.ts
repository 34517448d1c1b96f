/**
 * How fluid the dashboard is while much moves: a real Chromium shows a list of 10,000 jobs, of which 50 run and report
 * 10 times a second; they end after their steps, and others begin. One view after the other is looked at for some minutes.
 * Measured: the times between the page's animation frames, beside those of an empty page in the same browser; the share of
 * time in which the page's main thread works; its heap after a garbage collection, and its DOM nodes, every 30 seconds.
 *
 * Chromium without a window draws by a clock of 60 Hz, so that a frame takes 16.7 ms or a multiple. What is late because
 * the processors are busy elsewhere is late on the empty page, too.
 *
 * npm run bench:page [-- --jobs 10000 --running 50 --ticks-per-second 10 --minutes 10 --views jobs,overview
 *   --profile FOLDER]; with a folder, CPU profiles of the views are written there
 */
import { rm, writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { ApiClient, findBrowser, openBrowser, startServiceProcess } from "@genga/testing";
import { type Browser } from "playwright-core";
import { z } from "zod";
import { keepRunning, progressPerSecond, submitScheduled } from "./support/moving-jobs.ts";
import { measurePage, type PageMeasured } from "./support/page-meter.ts";
import { pageViews, type PageView } from "./support/page-views.ts";
import { startPacedServers } from "./support/paced-servers.ts";
import { percentile } from "./support/percentile.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const options = z.object({
  jobs: count.default(10_000),
  running: count.default(50),
  ticksPerSecond: count.default(10),
  minutes: count.default(10),
  views: z
    .string()
    .default(Object.keys(pageViews).join())
    .transform((names) => names.split(",")),
  profile: z.string().default(""),
});

const bench = "page";
/** Of a running job; at ten a second it runs for 20 s. */
const steps = 200;
const emptySeconds = 20;

export async function run(asked: z.infer<typeof options>): Promise<Row[]> {
  const { jobs, running, ticksPerSecond } = asked;
  const views = asked.views.map((name) => viewNamed(name));
  const found = await findBrowser();
  if ("reason" in found) throw new Error(found.reason);
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
    closings.unshift(() => services.stop());
    await migrate({ databaseUrl: services.databaseUrl });
    const paced = await startPacedServers({
      ...{ servers: running, ticksPerSecond, stepsMax: steps, objectInfoBytes: 0, epoch: 0, bar: "steps" },
    });
    closings.unshift(() => paced.stop());
    const env = {
      ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: folder, PORT: "0" },
      ...{ COMFYUI_URLS: paced.urls.join(), SERVER_SLOTS: "1", LOG_LEVEL: "warn" },
      TENANT_REQUESTS_PER_MINUTE: "1000000",
    };
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    closings.unshift(() => api.stop());
    const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
    closings.unshift(() => worker.stop());
    const url = String(api.details["url"]);
    const client = new ApiClient(url);
    await submitScheduled(client, jobs - running);
    const feeding = await keepRunning(client, running);
    closings.unshift(() => feeding.stop());
    const browser = await openBrowser(found);
    closings.unshift(() => browser.close());
    const rate = await progressPerSecond(url, 10);
    console.log(`${jobs} jobs, ${running} of them run; the stream brings ${rate.toFixed(0)} steps a second`);
    const rows: Row[] = [];
    for (const view of views) {
      rows.push(...(await rowsOf(view, { ...asked, browser, url })));
      feeding.check();
    }
    return rows;
  } finally {
    for (const close of closings) await close();
  }
}

function viewNamed(name: string): { name: string; view: PageView } {
  const view = pageViews[name];
  if (view === undefined)
    throw new Error(`unknown view ${name}; known: ${Object.keys(pageViews).join(", ")}`);
  return { name, view };
}

interface Asked {
  readonly browser: Browser;
  readonly url: string;
  readonly minutes: number;
  readonly profile: string;
}

async function rowsOf(
  { name, view }: { name: string; view: PageView },
  { browser, url, minutes, profile }: Asked,
): Promise<Row[]> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    // Beside it, since the load of the machine changes with the hour.
    const empty = await measurePage(page, { minutes: emptySeconds / 60, sampleMs: emptySeconds * 1_000 });
    await page.goto(`${url}${view.path}`);
    await page.getByRole("heading", { level: 2 }).first().waitFor();
    await sleep(2_000);
    const measured = await measurePage(page, {
      ...{ minutes, act: view.act, isProfiled: profile !== "" },
    });
    if (measured.profile !== null)
      await writeFile(join(profile, `${name}.cpuprofile`), JSON.stringify(measured.profile));
    print(name, measured, empty);
    return figuresOf(name, measured, empty);
  } finally {
    await context.close();
  }
}

function print(name: string, measured: PageMeasured, empty: PageMeasured): void {
  console.log(`\n${name}; load ${loadavg()[0]?.toFixed(1) ?? ""}`);
  console.log(`  frames      ${distribution(measured.framesMs)}`);
  console.log(`  empty page  ${distribution(empty.framesMs)}`);
  console.log(
    `  main thread ${measured.busyPercent.toFixed(1)} % busy: scripts ${measured.scriptPercent.toFixed(1)} %, ` +
      `styles and layout ${measured.layoutPercent.toFixed(1)} %; tasks over 50 ms: ${listOf(measured.longTasksMs)}`,
  );
  for (const [what, of] of [
    ["heap, MB", ({ heapBytes }: PageMeasured["samples"][number]) => (heapBytes / 1e6).toFixed(1)],
    ["DOM nodes", ({ nodes }: PageMeasured["samples"][number]) => String(nodes)],
    ["listeners", ({ listeners }: PageMeasured["samples"][number]) => String(listeners)],
  ] as const)
    console.log(`  ${what.padEnd(11)} ${measured.samples.map(of).join(" ")}`);
}

function distribution(framesMs: readonly number[]): string {
  const at = (percent: number): string => percentile(framesMs, percent).toFixed(0);
  const late = framesMs.filter((ms) => ms > 50).length;
  return `${framesMs.length}: p50 ${at(50)}, p95 ${at(95)}, p99 ${at(99)}, p99.9 ${at(99.9)}, max ${at(100)} ms; over 50 ms: ${late}`;
}

function listOf(numbers: readonly number[]): string {
  if (numbers.length === 0) return "none";
  const largest = numbers.toSorted((one, other) => other - one).slice(0, 10);
  return `${numbers.length} (${largest.map((ms) => ms.toFixed(0)).join(", ")} ms)`;
}

function figuresOf(name: string, measured: PageMeasured, empty: PageMeasured): Row[] {
  const { framesMs, samples } = measured;
  const at = (percent: number): string => percentile(framesMs, percent).toFixed(0);
  // By then what is kept for a while is there.
  const middle = samples[Math.floor(samples.length / 2)]?.heapBytes ?? Number.NaN;
  return [
    {
      ...{ bench, figure: `${name}: frames, p99`, value: percentile(framesMs, 99), unit: "ms" },
      reach: { atMost: 50 },
      note:
        `p50 ${at(50)}, max ${at(100)}; ${framesMs.filter((ms) => ms > 50).length} of ${framesMs.length} over 50 ms; ` +
        `an empty page's p99 ${percentile(empty.framesMs, 99).toFixed(0)}, max ${percentile(empty.framesMs, 100).toFixed(0)}`,
    },
    { bench, figure: `${name}: main thread busy`, value: measured.busyPercent, unit: "% of a core" },
    {
      ...{ bench, figure: `${name}: heap at the end ÷ at half time` },
      ...{ value: (samples.at(-1)?.heapBytes ?? Number.NaN) / middle, unit: "×", reach: { atMost: 1.1 } },
      note:
        `${(middle / 1e6).toFixed(1)} MB at half time; ` +
        `DOM nodes ${samples[0]?.nodes ?? 0}, at the end ${samples.at(-1)?.nodes ?? 0}`,
    },
  ];
}

await runBenchmark(options, run);
