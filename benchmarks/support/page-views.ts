import { setTimeout as sleep } from "node:timers/promises";
import { type Page } from "playwright-core";

/** What of the dashboard is looked at. */
export interface PageView {
  readonly path: string;
  /** Done again and again while the page is measured; it takes some seconds at most. */
  readonly act?: (page: Page) => Promise<void>;
}

const wheelPixels = 400;
const wheelMs = 100;
const wheelTurns = 20;
const jobMs = 10_000;

export const pageViews: Readonly<Record<string, PageView>> = {
  jobs: { path: "/jobs" },
  scrolling: { path: "/jobs", act: scroll() },
  overview: { path: "/" },
  job: { path: "/jobs?status=processing", act: openJob },
};

/** Down through the list and up again, 67 rows a second. */
function scroll(): (page: Page) => Promise<void> {
  let direction = 1;
  return async (page) => {
    await page.mouse.move(640, 500);
    for (let turn = 0; turn < wheelTurns; turn += 1) {
      await page.mouse.wheel(0, direction * wheelPixels);
      await sleep(wheelMs);
    }
    const where =
      "scrollY + innerHeight >= document.documentElement.scrollHeight ? 'end' : scrollY === 0 ? 'top' : ''";
    const at = await page.evaluate<string>(where);
    if (at === "end") direction = -1;
    if (at === "top") direction = 1;
  };
}

/** One running job after the other, from the list and back to it. */
async function openJob(page: Page): Promise<void> {
  const link = page.getByRole("row").getByRole("link").first();
  await link.click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
  await sleep(jobMs);
  await page.goBack();
  await link.waitFor();
}
