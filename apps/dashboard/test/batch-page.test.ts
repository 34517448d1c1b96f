import { sleepWorkflow } from "@genga/testing";
import { expect } from "@jest/globals";
import { inBrowser, loseAnswers, screenshot, usePages } from "./support/pages-under-test.ts";

const pages = usePages();

async function batchesOf(response: Response): Promise<{ batches: { name: string | null }[] }> {
  return (await response.json()) as { batches: { name: string | null }[] };
}

async function submitted(body: object): Promise<{ id: string; jobs: { id: string }[] }> {
  const response = await pages.api.request("POST", "batches", body);
  return (await response.json()) as { id: string; jobs: { id: string }[] };
}

inBrowser(
  "jobs are picked and rejected by keyboard, and the rejected made again with new seeds",
  async () => {
    const job = { type: "image", prompt: "a <b>lighthouse</b>", width: 256, height: 256, steps: 2 };
    const batch = await submitted({
      name: "lamps",
      tags: ["<i>night</i>"],
      sweep: { base: job, seeds: { count: 5 } },
    });
    // A slow machine takes its time until a stack runs its first job.
    for (const { id } of batch.jobs) await pages.api.until(id, ({ status }) => status === "completed");
    const { page, complaints } = await pages.open("/batches");
    await page.getByRole("link", { name: "lamps" }).click();
    await page.getByText("5 completed").waitFor();
    await screenshot(page, "batch-jobs");
    await page.getByRole("tab", { name: "Contact sheet" }).click();
    const sheet = page.getByRole("grid", { name: "Contact sheet" });
    // The newest stands first.
    await sheet.getByRole("link", { name: "Job 5, completed" }).focus();
    await page.keyboard.press("p");
    await sheet.getByRole("link", { name: "Job 5, completed, picked" }).waitFor();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("x");
    await sheet.getByRole("link", { name: "Job 4, completed, rejected" }).waitFor();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("x");
    await sheet.getByRole("link", { name: "Job 3, completed, rejected" }).waitFor();
    await page.getByRole("button", { name: "Again with new seeds (2)" }).waitFor();
    await screenshot(page, "contact-sheet");
    // What the API refuses is taken back.
    await page.route(/\/job-marks$/, (route) =>
      route.fulfill({ status: 422, json: { title: "Not this one" } }),
    );
    await page.keyboard.press("p");
    await page.getByText("Not this one").waitFor();
    await sheet.getByRole("link", { name: "Job 3, completed, rejected" }).waitFor();
    await page.unroute(/\/job-marks$/);
    // Marks are kept by the API, and what is chosen by the address.
    await page.getByText("Rejected", { exact: true }).click();
    await page.reload();
    await sheet.getByRole("link", { name: "Job 3, completed, rejected" }).waitFor();
    expect(await sheet.getByRole("link").count()).toBe(2);
    await page.getByRole("button", { name: "Again with new seeds (2)" }).click();
    // A question is answered once, however fast its button is pressed; and a lost answer is no second submission.
    const held = await loseAnswers(page, /\/rerun$/);
    await page.getByRole("button", { name: "Submit" }).dblclick();
    await page.getByText("The API cannot be reached").waitFor();
    expect(held.answered()).toBeGreaterThan(0);
    await held.end();
    await page.getByRole("button", { name: "Again with new seeds (2)" }).click();
    await page.getByRole("button", { name: "Submit" }).dblclick();
    await page.getByRole("heading", { name: "lamps again" }).waitFor();
    const { batches } = await batchesOf(await pages.api.request("GET", "batches"));
    expect(batches.filter(({ name }) => name === "lamps again")).toHaveLength(1);
    await page.getByText("2 completed").waitFor();
    const again = new URL(page.url()).pathname.split("/").at(-1)!;
    expect(again).not.toBe(batch.id);
    expect(await pages.api.batch(again)).toMatchObject({ total: 2 });
    // The browser itself complains of what the test has made fail.
    expect(complaints.filter((text) => !/422|ERR_FAILED/.test(text))).toEqual([]);
  },
  180_000,
);

inBrowser("chains are drawn and listed, follow what happens, and lead to their jobs", async () => {
  const sleep = (key: string, seconds: number, ...dependsOn: string[]): object => ({
    ...{ type: "workflow", workflow: sleepWorkflow(seconds), key, dependsOn },
  });
  const { id, jobs } = await submitted({
    name: "shot 12",
    jobs: [
      sleep("pose", 60),
      sleep("<b>left</b>", 0, "pose"),
      sleep("cut", 0, "<b>left</b>", "pose"),
      sleep("right", 0, "pose"),
      sleep("mix", 0, "<b>left</b>", "right", "pose"),
      sleep("grade", 0, "mix", "right", "pose"),
    ],
  });
  const { page, complaints } = await pages.open(`/batches/${id}?part=chains`);
  const graph = page.getByRole("region", { name: "The chain of jobs" });
  await graph.getByRole("link", { name: "<b>left</b>" }).waitFor();
  await graph.getByText("processing").waitFor();
  expect(await graph.locator(".react-flow__edge").count()).toBe(10);
  await screenshot(page, "batch-chains");
  const phone = await pages.open(`/batches/${id}?part=chains`, { width: 390, height: 844, scheme: "dark" });
  await phone.page.getByRole("link", { name: "grade" }).scrollIntoViewIfNeeded();
  await screenshot(phone.page, "batch-chains-phone-dark");
  await phone.context.close();
  await graph.getByRole("link", { name: "cut" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`/jobs/${jobs[2]!.id}`));
  await graph.locator("[aria-current=page]").getByText("cut").waitFor();
  await page.getByText("List", { exact: true }).last().click();
  const list = page.getByRole("region", { name: "Jobs of the chain" });
  await list.getByText("after pose, <b>left</b>").or(list.getByText("after <b>left</b>, pose")).waitFor();
  await screenshot(page, "job-chain");
  await pages.api.cancel(jobs[0]!.id);
  await list.getByRole("listitem").filter({ hasText: "pose" }).first().getByText("cancelled").waitFor();
  await list.getByRole("link", { name: "pose" }).click();
  await page.waitForURL(new RegExp(`/jobs/${jobs[0]!.id}`));
  expect(complaints).toEqual([]);
});

inBrowser("a batch with failed jobs fits a phone, and is removed", async () => {
  const failing = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 1 } },
    "2": { class_type: "ProtoFail", inputs: { image: ["1", 0], mode: "value", message: "boom", seed: 1 } },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "x" } },
  };
  const { id, jobs } = await submitted({
    name: "x".repeat(120),
    jobs: [{ type: "workflow", workflow: failing }],
  });
  await pages.api.until(jobs[0]!.id, ({ status }) => status === "failed");
  const { page } = await pages.open(`/batches/${id}`, { width: 390, height: 844, scheme: "dark" });
  await page.getByText("First errors").waitFor();
  await page.getByRole("link", { name: "Job 1" }).waitFor();
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
  await screenshot(page, "batch-phone-dark");
  await page.getByRole("tab", { name: "Contact sheet" }).click();
  await page.getByRole("link", { name: "Job 1, failed" }).waitFor();
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
  await page.getByRole("button", { name: "Retry 1 failed" }).click();
  await page.getByText("1 jobs are queued again.").waitFor();
  // Before that the page may still show the first failure.
  await pages.api.until(jobs[0]!.id, ({ status, attempt }) => status === "failed" && attempt === 2);
  await page.getByText("1 failed", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Remove", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.getByText("This batch was removed").waitFor();
});
