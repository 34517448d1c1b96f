import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "@jest/globals";
import { type Locator } from "playwright-core";
import { inBrowser, screenshot, usePages } from "./support/pages-under-test.ts";

const pages = usePages();

inBrowser("a refusal stands at its field, and nothing typed is lost", async () => {
  const { page } = await pages.open("/create");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("a refused cat");
  await page.getByRole("textbox", { name: "Steps", exact: true }).fill("1000");
  await page.getByRole("button", { name: "Queue" }).click();
  await page.getByRole("combobox", { name: "Server labels" }).fill("gpu:none");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Submit" }).click();
  const steps = page.getByRole("textbox", { name: "Steps", exact: true });
  await page.getByRole("alert").first().waitFor();
  await expectInvalid(steps);
  await screenshot(page, "create-refused");
  await page.reload();
  await steps.waitFor();
  expect(await steps.inputValue()).toBe("1000");
  expect(await page.getByRole("textbox", { name: "Prompt", exact: true }).inputValue()).toBe("a refused cat");
});

inBrowser("two clicks submit one job", async () => {
  const { page, complaints } = await pages.open("/create");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("clicked twice");
  await page.getByRole("button", { name: "1024 × 1024" }).click();
  await page.getByRole("button", { name: "Submit" }).dblclick();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
  const jobs: unknown = await (await pages.api.request("GET", "jobs?text=clicked+twice")).json();
  expect(jobs).toMatchObject({ jobs: [{ prompt: "clicked twice" }] });
  expect(complaints).toEqual([]);
});

inBrowser("a click while the view of the job is still loaded submits nothing more", async () => {
  const { page, complaints } = await pages.open("/create");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("clicked late");
  const held = signal();
  const asked = signal();
  await page.route(/assets\/job-[\w-]{8}\.js/, async (route) => {
    asked.send();
    await held.sent;
    await route.continue();
  });
  await page.getByRole("button", { name: "Submit" }).click();
  await asked.sent;
  // Of a button that is busy a click does nothing; this is as strong as a click can be.
  for (let click = 0; click < 3; click++)
    await page.evaluate("document.querySelector('form').requestSubmit()");
  held.send();
  await page.getByRole("heading", { level: 2 }).waitFor();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
  const jobs: unknown = await (await pages.api.request("GET", "jobs?text=clicked+late")).json();
  expect(jobs).toMatchObject({ jobs: [{ prompt: "clicked late" }] });
  expect(complaints).toEqual([]);
});

inBrowser("an upload is kept while its form is away, and two files at once are refused", async () => {
  const { page, complaints } = await pages.open("/create");
  const picture = await madePicture();
  const input = page.getByLabel("First image", { exact: true });
  const held = signal();
  await page.route(/\/uploads/, async (route) => {
    await held.sent;
    await route.continue();
  });
  await input.setInputFiles(picture);
  await page.getByRole("tab", { name: "Video" }).click();
  await page.getByRole("tab", { name: "Image" }).click();
  expect(await page.getByRole("button", { name: "Submit" }).isDisabled()).toBe(true);
  await page.getByRole("tab", { name: "Video" }).click();
  const answered = page.waitForResponse(/\/uploads/);
  held.send();
  await answered;
  await page.getByRole("tab", { name: "Image" }).click();
  await page.getByText(/made\.png · /).waitFor();
  await page.getByRole("button", { name: "Remove First image" }).click();
  await input.waitFor({ state: "attached" });
  // As if two were dropped: the browser's own dialog offers one.
  await page.evaluate("document.querySelector(\"input[aria-label='First image']\").multiple = true");
  await input.setInputFiles([picture, { ...picture, name: "other.png" }]);
  await page.getByText("Not taken: other.png. There is room for one file.").waitFor();
  expect(complaints).toEqual([]);
});

inBrowser("a sweep is counted, submitted, and its batch is opened", async () => {
  const { page, complaints } = await pages.open("/create?sweep=true");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("a swept cat");
  await page.getByRole("button", { name: "Vary a value" }).click();
  await page.getByLabel("Varied 1").selectOption("steps");
  await page.getByLabel("Values 1, one a line").fill("4\n5\n6");
  await page.getByLabel("Seeds for each").fill("2");
  await page.getByRole("button", { name: "Count and check" }).click();
  await page.getByText("6 jobs would be accepted").waitFor();
  await screenshot(page, "create-sweep");
  await page.getByRole("button", { name: "Submit 6 jobs" }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}$/);
  expect(complaints).toEqual([]);
});

inBrowser("a picture that was made here brings its graph, which is changed and submitted", async () => {
  const picture = await madePicture();
  const { page, complaints } = await pages.open("/create?kind=workflow");
  await page.getByLabel("A picture made by ComfyUI, or a graph").setInputFiles(picture);
  const graph = page.getByRole("textbox", { name: "Graph in API format" });
  // The page's Content-Security-Policy lets no script wait for the value in the page.
  while (!(await graph.inputValue()).includes("KSampler")) await sleep(20);
  const text = await graph.inputValue();
  expect(text).toContain(String(seed));
  await screenshot(page, "create-graph");

  await graph.fill(text.replace('"KSampler"', '"NoSuchNode"'));
  await page.getByRole("button", { name: "Submit" }).click();
  await page
    .getByText(/NoSuchNode/)
    .last()
    .waitFor();
  await page.getByRole("button", { name: "Show the node" }).first().waitFor();
  await screenshot(page, "create-graph-refused");

  await graph.fill(text.replace(/"steps": \d+/, '"steps": 3'));
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
  // The browser itself complains of the refusal.
  expect(complaints.filter((text) => !text.includes("422"))).toEqual([]);
});

inBrowser("a template is filled in, with a picture that is dropped; also on a phone", async () => {
  const stored = await pages.api.request("POST", "templates", {
    name: "scaled",
    workflow: {
      "1": { class_type: "LoadImage", inputs: { image: "example.png" } },
      "2": {
        class_type: "ImageScale",
        inputs: { image: ["1", 0], upscale_method: "bilinear", width: 512, height: 512, crop: "disabled" },
      },
      "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "scaled" } },
    },
    parameters: {
      picture: { type: "image", label: "Picture", targets: [{ node: "1", input: "image" }] },
      width: { type: "integer", label: "Wide", min: 64, max: 2048, targets: [{ node: "2", input: "width" }] },
    },
  });
  expect([stored.status, await stored.text()]).toEqual([201, expect.anything()]);
  const picture = await madePicture();
  const { page, complaints } = await pages.open("/create?kind=template", { width: 390, scheme: "dark" });
  await page.getByRole("combobox", { name: "Template" }).selectOption("scaled");
  await page.waitForURL(/template=scaled/);
  await page.getByLabel("Picture", { exact: true }).setInputFiles(picture);
  await page.getByText("made.png").waitFor();
  await page.getByRole("textbox", { name: "Wide" }).fill("128");
  await screenshot(page, "create-template");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
  const job = await pages.api.until(page.url().slice(-36), ({ status }) => status === "completed");
  const [output] = await pages.api.outputs(job.id);
  expect(output).toMatchObject({ width: 128, height: 512 });
  await page.goto(`${pages.stack.url}/create`);
  await page.getByRole("textbox", { name: "Prompt", exact: true }).waitFor();
  await screenshot(page, "create-phone");
  expect(complaints).toEqual([]);
});

function signal(): { send: () => void; sent: Promise<void> } {
  let send = (): void => undefined;
  const sent = new Promise<void>((resolve) => {
    send = resolve;
  });
  return { send, sent };
}

const seed = 18446744073709551615n;

async function madePicture(): Promise<{ name: string; mimeType: string; buffer: Buffer }> {
  const body = { type: "image", prompt: "a picture with a graph", steps: 2, seed: String(seed) };
  const made = (await (await pages.api.request("POST", "generate?wait=60s", body)).json()) as { id: string };
  const [output] = await pages.api.outputs(made.id);
  const response = await pages.api.request("GET", `outputs/${output?.id ?? ""}`);
  return { name: "made.png", mimeType: "image/png", buffer: Buffer.from(await response.arrayBuffer()) };
}

/** The page says it to a screen reader as well. */
async function expectInvalid(input: Locator): Promise<void> {
  expect(await input.getAttribute("aria-invalid")).toBe("true");
}
