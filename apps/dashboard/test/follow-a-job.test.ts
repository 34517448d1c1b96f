import { expect } from "@jest/globals";
import { inBrowser, screenshot, usePages } from "./support/pages-under-test.ts";

const pages = usePages({ simulatorArgs: ["--load-ms", "500", "--step-ms", "500"] });

inBrowser("a job is submitted from the form, moves, and shows its picture", async () => {
  const { page, complaints } = await pages.open("/");
  await page.getByRole("link", { name: "Create" }).click();
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("a lighthouse above a sea of clouds");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
  await page.getByRole("heading", { name: "a lighthouse above a sea of clouds" }).waitFor();
  await page.getByText("processing", { exact: true }).waitFor();
  const bars = page.getByRole("progressbar");
  await screenshot(page, "job-running");
  const percents = new Set<string>();
  while ((await page.getByText("completed", { exact: true }).count()) === 0) {
    // This does not wait: the bar may vanish at any moment.
    for (const percent of await bars.evaluateAll(valuesNow)) percents.add(percent);
  }
  expect(percents.size).toBeGreaterThan(3);
  const picture = page.getByRole("img", { name: /\.png$/ });
  await picture.waitFor();
  const width = await picture.evaluate(async (element) => {
    const image = element as unknown as { decode: () => Promise<void>; naturalWidth: number };
    await image.decode();
    return image.naturalWidth;
  });
  expect(width).toBeGreaterThan(0);
  await screenshot(page, "job-completed");
  expect(complaints).toEqual([]);
});

function valuesNow(bars: unknown[]): string[] {
  const first = bars.slice(0, 1) as { getAttribute(name: string): string | null }[];
  return first.map((bar) => bar.getAttribute("aria-valuenow") ?? "");
}
