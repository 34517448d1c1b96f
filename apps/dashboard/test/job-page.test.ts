import { expect } from "@jest/globals";
import { sleepWorkflow } from "@genga/testing";
import { inBrowser, loseAnswers, screenshot, usePages } from "./support/pages-under-test.ts";

const pages = usePages();

/** A slow machine takes its time until a stack runs its first job. */
async function ended(id: string): Promise<string> {
  let last = "";
  for await (const { event } of pages.api.events(id)) last = event;
  return last;
}

inBrowser(
  "a failed job names its node, what it means and what to do",
  async () => {
    const id = await pages.api.submit({ type: "workflow", workflow: sleepWorkflow(0, { fails: true }) });
    await ended(id);
    const { page, complaints } = await pages.open(`/jobs/${id}`);
    await page.getByText("A node of the graph raised an exception while it ran.").waitFor();
    await page.getByText("boom").first().waitFor();
    await page.getByText("What to do:").waitFor();
    await page.getByLabel("Node 2, ProtoFail: failed").waitFor();
    await page.getByLabel("Node 1, EmptyImage: done").waitFor();
    await page.getByText("Traceback", { exact: true }).click();
    await screenshot(page, "job-failed");
    // Stands in the address, and so survives a reload.
    await page.getByText("List", { exact: true }).click();
    await page.getByRole("listitem").filter({ hasText: "ProtoFail" }).getByText("failed").waitFor();
    expect(page.url()).toContain("nodes=list");
    await page.reload();
    await page.getByRole("listitem").filter({ hasText: "ProtoFail" }).waitFor();
    await page.getByRole("button", { name: "Rerun with changes" }).click();
    const form = page.getByRole("dialog", { name: "Rerun with changes" });
    await form.getByRole("button", { name: /EmptyImage/ }).click();
    await form.getByLabel("width").fill("-5");
    await form.getByRole("button", { name: "Submit" }).click();
    await form.getByText("refused").waitFor();
    await screenshot(page, "job-rerun-refused");
    await form.getByLabel("width").fill("128");
    // A lost answer is no second submission.
    const lost = await loseAnswers(page, /\/rerun$/);
    await form.getByRole("button", { name: "Submit" }).click();
    await form.getByText("The API cannot be reached").waitFor();
    expect(lost.answered()).toBeGreaterThan(0);
    await lost.end();
    await form.getByRole("button", { name: "Submit" }).click();
    await page.waitForURL((url) => !url.pathname.endsWith(id));
    await page.getByRole("link", { name: id }).waitFor();
    const { jobs } = (await (await pages.api.request("GET", "jobs")).json()) as {
      jobs: { rerunOf: string | null }[];
    };
    expect(jobs.filter(({ rerunOf }) => rerunOf === id)).toHaveLength(1);
    // The console names the refusal, an answer of 422, and the answers that were lost.
    expect(complaints.filter((line) => !/422|ERR_FAILED/.test(line))).toEqual([]);
  },
  180_000,
);

inBrowser("a running job is cancelled, and the page says what happened", async () => {
  const id = await pages.api.submit({ type: "workflow", workflow: sleepWorkflow(600, { steps: 1_000 }) });
  const { page, complaints } = await pages.open(`/jobs/${id}`, { scheme: "dark" });
  await page.getByLabel("Node 2, ProtoSleep: running").waitFor();
  await screenshot(page, "job-running-dark");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Its server was asked to stop the prompt.", { exact: true }).waitFor();
  await page.getByText("cancelled", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Retry" }).waitFor();
  expect(complaints).toEqual([]);
});

inBrowser("the page goes on by itself after the API was killed and started again", async () => {
  const id = await pages.api.submit({ type: "workflow", workflow: sleepWorkflow(600, { steps: 1_000 }) });
  const { page } = await pages.open(`/jobs/${id}`);
  await page.getByLabel("Node 2, ProtoSleep: running").waitFor();
  const { port } = new URL(pages.stack.url);
  pages.stack.apis[0]!.signal("SIGKILL");
  await page.getByText("Not connected").waitFor();
  await pages.stack.startApi({ PORT: port });
  await page.getByText("Live", { exact: true }).waitFor();
  await pages.api.cancel(id);
  await page.getByText("cancelled", { exact: true }).first().waitFor();
});

inBrowser("pictures are shown large and by the arrow keys, also on a phone", async () => {
  const id = await pages.api.submit({ type: "image", prompt: `<b>cats</b> ${"long".repeat(60)}`, count: 2 });
  await ended(id);
  const { page, complaints } = await pages.open(`/jobs/${id}`, { width: 390, height: 844 });
  await page.getByRole("heading", { name: "Outputs (2)" }).waitFor();
  const width = await page.evaluate("document.documentElement.scrollWidth");
  expect(width).toBeLessThanOrEqual(390);
  await screenshot(page, "job-phone");
  await page
    .getByRole("button", { name: / large$/ })
    .first()
    .click();
  const large = page.getByRole("dialog");
  await large.getByText("(1 of 2)").waitFor();
  await page.keyboard.press("ArrowRight");
  await large.getByText("(2 of 2)").waitFor();
  const image = large.getByRole("img", { name: /png$/ });
  const pixels = await image.evaluate(async (element) => {
    const shown = element as unknown as { decode(): Promise<void>; naturalWidth: number };
    await shown.decode();
    return shown.naturalWidth;
  });
  expect(pixels).toBeGreaterThan(0);
  await page.keyboard.press("Escape");
  await large.waitFor({ state: "detached" });
  await pages.api.request("DELETE", `jobs/${id}`);
  await page.reload();
  await page.getByText("This job was removed").waitFor();
  expect(complaints.filter((line) => !line.includes("410"))).toEqual([]);
});
