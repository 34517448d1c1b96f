import { expect } from "@jest/globals";
import { inBrowser, screenshot, usePages } from "./support/pages-under-test.ts";

const pages = usePages();

inBrowser("the overview says how to begin, and counts what ended since", async () => {
  const { page, complaints } = await pages.open("/");
  await page.getByRole("heading", { name: "Nothing was submitted yet" }).waitFor();
  await screenshot(page, "overview-new");
  const jobs = Array.from({ length: 12 }, (_, index) => ({
    type: "image",
    prompt: `a lighthouse, ${index + 1}`,
  }));
  const answer = await pages.api.request("POST", "batches", { jobs });
  if (answer.status !== 202) throw new Error(await answer.text());
  await page
    .getByRole("img", { name: "Your jobs that ended: 12 completed, 0 failed" })
    .waitFor({ timeout: 150_000 });
  expect(await page.getByRole("heading", { name: "Nothing was submitted yet" }).count()).toBe(0);
  await page.getByText("1 h", { exact: true }).click();
  await page.waitForURL(/hours=1/);
  await page.getByText(/^[1-9]\d* jobs an hour$/).waitFor();
  await screenshot(page, "overview");
  expect(complaints).toEqual([]);
});

inBrowser("it fits on a phone", async () => {
  const { page, complaints } = await pages.open("/?hours=1", { width: 390, height: 844, scheme: "dark" });
  await page.getByRole("img", { name: /^Your jobs that ended/ }).waitFor();
  await screenshot(page, "overview-phone");
  const isWider = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
  expect(await page.evaluate(isWider)).toBe(false);
  expect(complaints).toEqual([]);
});
