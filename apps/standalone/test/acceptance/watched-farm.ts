import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findBrowser, openBrowser } from "@genga/testing";
import { type Page } from "playwright-core";

/** What a scrape of the API's metrics said of the farm. */
interface Sample {
  /** Seconds since the watch began. */
  readonly seconds: number;
  readonly serversOnline: number;
  readonly serversUnreachable: number;
  readonly workers: number;
  readonly queued: number;
  readonly processing: number;
  readonly completed: number;
}

/** The pages that somebody has open while things happen, and a Prometheus that scrapes every second. */
export interface WatchedFarm {
  /** `null` = there is no browser here. */
  readonly servers: Page | null;
  /** Opens the page of a batch. */
  openBatch(id: string): Promise<Page | null>;
  readonly samples: readonly Sample[];
  /** Saved where `SCREENSHOTS` says, if it does. */
  picture(name: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens the page of the servers, and scrapes until it is closed. */
export async function watchFarm(apiUrl: string): Promise<WatchedFarm> {
  const folder = process.env["SCREENSHOTS"];
  if (folder !== undefined) await mkdir(folder, { recursive: true });
  const found = await findBrowser();
  const browser = "reason" in found ? null : await openBrowser(found);
  const open = async (path: string, height: number): Promise<Page | null> => {
    const page = (await browser?.newPage({ viewport: { width: 1_280, height } })) ?? null;
    await page?.goto(`${apiUrl}${path}`);
    return page;
  };
  const servers = await open("/servers", 1_150);
  let batch: Page | null = null;
  const overview = folder === undefined ? null : await open("/", 1_000);
  const scraping = scrapeUntilStopped(apiUrl, folder);
  return {
    ...{ servers, samples: scraping.samples },
    openBatch: async (id) => {
      batch = await open(`/batches/${id}`, 800);
      return batch;
    },
    picture: async (name) => {
      if (folder === undefined) return;
      for (const [what, page] of Object.entries({ servers, batch, overview }))
        await page?.screenshot({ path: join(folder, `${name}-${what}.png`) });
    },
    close: async () => {
      await scraping.stop();
      await browser?.close();
    },
  };
}

const columns = [
  "seconds",
  "serversOnline",
  "serversUnreachable",
  "workers",
  "queued",
  "processing",
  "completed",
] as const;

function scrapeUntilStopped(
  apiUrl: string,
  folder: string | undefined,
): { samples: Sample[]; stop: () => Promise<void> } {
  const startedAt = performance.now();
  const samples: Sample[] = [];
  const path = folder === undefined ? undefined : join(folder, "metrics.csv");
  const stopping = new AbortController();
  const scrape = async (): Promise<void> => {
    if (path !== undefined) await writeFile(path, `${columns.join(",")}\n`);
    while (!stopping.signal.aborted) {
      const lines = (await (await fetch(new URL("/metrics", apiUrl))).text()).split("\n");
      const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
      const sample = sampleOf(lines, seconds);
      samples.push(sample);
      if (path !== undefined) await appendFile(path, `${columns.map((name) => sample[name]).join(",")}\n`);
      await sleep(1_000, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const running = scrape();
  running.catch(() => undefined);
  return {
    samples,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

function sampleOf(lines: readonly string[], seconds: number): Sample {
  const servers = (state: string): number => sumOf(lines, "genga_server_state", `state="${state}"`);
  const jobs = (status: string): number => sumOf(lines, "genga_jobs", `status="${status}"`);
  return {
    ...{ seconds, serversOnline: servers("online"), serversUnreachable: servers("unreachable") },
    workers: sumOf(lines, "genga_workers", 'state="working"'),
    ...{ queued: jobs("queued"), processing: jobs("processing"), completed: jobs("completed") },
  };
}

/** The sum of the series of this metric that have these labels. */
export function sumOf(lines: readonly string[], name: string, labels = ""): number {
  return lines
    .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}
