import { expect } from "@jest/globals";
import { inBrowser, screenshot, usePages } from "./support/pages-under-test.ts";

const pages = usePages(
  { simulators: 2, simulatorArgs: ["--load-ms", "0", "--step-ms", "400"] },
  async ({ api }) => {
    // More than all tests of this file, on a slow machine, have time for.
    const jobs = Array.from({ length: 600 }, (_, index) => ({
      type: "image",
      prompt: `a lighthouse, ${index + 1}`,
    }));
    const answer = await api.request("POST", "batches", { jobs });
    if (answer.status !== 202) throw new Error(await answer.text());
  },
);

inBrowser("servers show what they do, and are drained and resumed", async () => {
  const { page, complaints } = await pages.open("/servers");
  const servers = page.getByRole("article", { name: /^Server / });
  await servers.nth(1).waitFor();
  expect(await servers.count()).toBe(2);
  await servers.first().getByRole("progressbar").first().waitFor();
  await screenshot(page, "servers");
  await servers.first().getByRole("button", { name: "Drain" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
  await servers.first().getByText("draining", { exact: true }).waitFor();
  await servers.first().getByRole("button", { name: "Resume" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Resume" }).click();
  await servers.first().getByRole("button", { name: "Drain" }).waitFor();
  await page.getByRole("table").getByRole("row").nth(1).waitFor();
  expect(complaints).toEqual([]);
});

inBrowser("the queue shows its lanes and why jobs wait, and the farm is paused and resumed", async () => {
  const { page, complaints } = await pages.open("/queue", { scheme: "dark" });
  const lane = page.getByRole("article", { name: /^Lane / });
  await lane
    .getByText(/waiting/)
    .first()
    .waitFor();
  await lane.getByRole("button", { name: /^Pause the lane/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await lane.getByText("paused", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Pause the farm" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await page.getByText("The farm is paused: nothing new begins until an operator resumes it.").waitFor();
  await screenshot(page, "queue");
  await page.getByRole("button", { name: "Resume the farm" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Resume" }).click();
  await page.getByText("Nothing begins at the moment").waitFor({ state: "detached" });
  expect(complaints).toEqual([]);
});

inBrowser("both fit on a phone", async () => {
  for (const view of ["servers", "queue"]) {
    const { page, complaints } = await pages.open(`/${view}`, { width: 390, height: 844 });
    await page.getByRole("article").first().waitFor();
    await screenshot(page, `${view}-phone`);
    const isWider = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    expect(await page.evaluate(isWider)).toBe(false);
    expect(complaints).toEqual([]);
  }
});
