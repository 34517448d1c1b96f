import { join } from "node:path";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  findBrowser,
  openBrowser,
  startStack,
  type BrowserProgram,
  type Stack,
  type StackOptions,
} from "@genga/testing";
import { afterAll, beforeAll, test } from "@jest/globals";
import { type Browser, type BrowserContext, type Page } from "playwright-core";

/** The whole product, and a browser that looks at it. */
export interface PagesUnderTest {
  readonly stack: Stack;
  readonly api: ApiClient;
  readonly browser: Browser;
  /** A page in a browser profile of its own; what it complains of (errors in its console, exceptions) is in `complaints`. */
  open(path: string, options?: PageOptions): Promise<OpenedPage>;
}

interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: "light" | "dark";
  /** Where the page is, in place of the first API. */
  readonly url?: string;
}

interface OpenedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly complaints: string[];
}

const found = await findBrowser();

/** A test in a browser. Where there is no Chromium it is skipped, and its name says why. */
export function inBrowser(name: string, work: () => Promise<void>, timeoutMs?: number): void {
  if ("reason" in found) test.skip(`${name} (skipped: ${found.reason})`, work, timeoutMs);
  else test(name, work, timeoutMs);
}

/**
 * What the tests of a file look at: started before them, and stopped after them. Without a key, on loopback, as a fresh
 * installation is.
 * @param prepare what the tests find there
 */
export function usePages(
  options: Partial<StackOptions> = {},
  prepare?: (pages: PagesUnderTest) => Promise<void>,
): PagesUnderTest {
  const pages = {} as PagesUnderTest;
  let stop: (() => Promise<void>) | undefined;
  beforeAll(async () => {
    if ("reason" in found) return;
    const started = await startPages(found, options);
    stop = started.stop;
    Object.assign(pages, started.pages);
    await prepare?.(pages);
  }, 180_000);
  afterAll(() => stop?.(), 180_000);
  return pages;
}

async function startPages(
  program: BrowserProgram,
  options: Partial<StackOptions>,
): Promise<{ pages: PagesUnderTest; stop: () => Promise<void> }> {
  // The browser first: one that does not start leaves nothing behind.
  const browser = await openBrowser(program);
  const database = await createTestDatabase();
  await migrate({ databaseUrl: database.url });
  const stack = await startStack({ databaseUrl: database.url, ...options });
  const open: PagesUnderTest["open"] = async (path, choice = {}) => {
    const { width = 1280, height = 800, scheme = "light", url = stack.url } = choice;
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(`${url}${path}`);
    return { page, context, complaints };
  };
  return {
    pages: { stack, browser, api: new ApiClient(stack.url), open },
    stop: async () => {
      await browser.close();
      await stack.stop();
      await database.drop();
    },
  };
}

/** For whoever wants to look: saved where `SCREENSHOTS` says, if it does. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const { SCREENSHOTS: folder } = process.env;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** From now on the API does what such requests ask for, and its answers are lost. */
export async function loseAnswers(
  page: Page,
  url: RegExp,
): Promise<{ answered: () => number; end: () => Promise<void> }> {
  let answered = 0;
  await page.route(url, async (route) => {
    await route.fetch();
    answered += 1;
    await route.abort();
  });
  return { answered: () => answered, end: () => page.unroute(url) };
}
