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
import { type Browser, type BrowserContext, type Page } from "playwright-core";

/** The whole product, and a browser that looks at it. */
export interface PagesUnderTest {
  readonly stack: Stack;
  readonly api: ApiClient;
  readonly browser: Browser;
  /** A page in a browser profile of its own; what it complains of (errors in its console, exceptions) is in `complaints`. */
  open(path: string, options?: PageOptions): Promise<OpenedPage>;
  stop(): Promise<void>;
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

/** A Chromium, or why there is none; a test is skipped then, and its name says so. */
export const found = await findBrowser();
export const skipped = "reason" in found ? ` (skipped: ${found.reason})` : "";

/** Without a key, on loopback, as a fresh installation is. */
export async function startPagesUnderTest(options: Partial<StackOptions> = {}): Promise<PagesUnderTest> {
  const database = await createTestDatabase();
  await migrate({ databaseUrl: database.url });
  const stack = await startStack({ databaseUrl: database.url, ...options });
  const browser = await openBrowser(found as BrowserProgram);
  return {
    ...{ stack, browser, api: new ApiClient(stack.url) },
    open: async (path, { width = 1280, height = 800, scheme = "light", url = stack.url } = {}) => {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(error.message));
      await page.goto(`${url}${path}`);
      return { page, context, complaints };
    },
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
