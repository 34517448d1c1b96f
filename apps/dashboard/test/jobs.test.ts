import { expect } from "@jest/globals";
import { type Locator, type Page } from "playwright-core";
import { inBrowser, screenshot, usePages } from "./support/pages-under-test.ts";

const tomorrow = new Date(Date.now() + 86_400_000).toISOString();

const pages = usePages({ simulatorArgs: ["--load-ms", "0", "--step-ms", "10"] }, async ({ api }) => {
  const jobs = Array.from({ length: 180 }, (_, index) => ({
    ...{ type: "image", prompt: `a lighthouse in weather ${index + 1}` },
    ...{
      project: index < 3 ? "harbour" : "sea",
      tags: ["night"],
      runAt: index < 3 ? undefined : tomorrow,
    },
  }));
  const answer = await api.request("POST", "batches", { jobs });
  if (answer.status !== 202) throw new Error(await answer.text());
});

/** Where it is once the page scrolls no more. */
async function boxAtRest(row: Locator): ReturnType<Locator["boundingBox"]> {
  let last = await row.boundingBox();
  for (;;) {
    await row.page().evaluate("new Promise((resolve) => setTimeout(resolve, 100))");
    const now = await row.boundingBox();
    if (now !== null && JSON.stringify(now) === JSON.stringify(last)) return now;
    last = now;
  }
}

const rowOf = (page: Page, prompt: string) =>
  page.getByRole("row").filter({ has: page.getByText(prompt, { exact: true }) });

inBrowser(
  "a long list is read as one scrolls, and stays where it is while jobs arrive, and after a reload",
  async () => {
    const { page, complaints } = await pages.open("/jobs");
    await rowOf(page, "a lighthouse in weather 180").waitFor();
    await page.getByRole("row").nth(10).hover();
    await page.mouse.wheel(0, 3_000);
    await rowOf(page, "a lighthouse in weather 125").waitFor();
    const row = rowOf(page, "a lighthouse in weather 125");
    const before = await boxAtRest(row);
    for (const prompt of ["a gull", "a pier"])
      await pages.api.request("POST", "generate", { type: "image", prompt, runAt: tomorrow });
    const announced = page.getByRole("button", { name: "2 new jobs" });
    await announced.waitFor();
    expect(await row.boundingBox()).toEqual(before);
    await screenshot(page, "jobs-new");
    await announced.click();
    await rowOf(page, "a pier").waitFor();
    expect(await announced.count()).toBe(0);
    await page.mouse.wheel(0, 30_000);
    await page.mouse.wheel(0, 30_000);
    while ((await rowOf(page, "a lighthouse in weather 1").count()) === 0) await page.mouse.wheel(0, 30_000);
    const first = rowOf(page, "a lighthouse in weather 1");
    await first.getByText("completed", { exact: true }).waitFor();
    await first.getByRole("presentation").or(first.locator("img")).first().waitFor();
    expect(complaints).toEqual([]);
  },
);

inBrowser("filters stand in the address, and chosen jobs are cancelled together", async () => {
  const { page, complaints } = await pages.open("/jobs");
  await page.getByLabel("Text of the prompt").fill("weather 1");
  await page.waitForURL(/text=weather/);
  await page.getByRole("button", { name: "More" }).click();
  await page.getByLabel("Project", { exact: true }).fill("sea");
  await page.waitForURL(/project=sea/);
  await page.reload();
  await rowOf(page, "a lighthouse in weather 180").waitFor();
  expect(await page.getByLabel("Project", { exact: true }).inputValue()).toBe("sea");
  for (const number of [176, 177, 178])
    await page.getByLabel(`Choose a lighthouse in weather ${number}`).check();
  await screenshot(page, "jobs-chosen");
  await page.getByRole("region", { name: "Chosen jobs" }).getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel 3 jobs" }).click();
  await page.getByText("3 jobs were cancelled.").waitFor();
  await rowOf(page, "a lighthouse in weather 177").getByText("cancelled", { exact: true }).waitFor();
  expect(complaints).toEqual([]);
});

inBrowser("on a phone jobs are cards, and nothing is wider than the screen", async () => {
  const { page, complaints } = await pages.open("/jobs?project=harbour", {
    width: 390,
    height: 844,
    scheme: "dark",
  });
  await page.getByRole("listitem").first().waitFor();
  await screenshot(page, "jobs-phone");
  const isWider = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
  expect(await page.evaluate(isWider)).toBe(false);
  expect(complaints).toEqual([]);
});
