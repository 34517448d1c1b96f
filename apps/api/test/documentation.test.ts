import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { findBrowser, openBrowser } from "@genga/testing";
import { landingPage } from "../src/documentation/documentation-pages.ts";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApiUnderTest();
});
afterAll(() => api.stop());

test("the first page is the dashboard, at each of its addresses, and loads nothing from another server", async () => {
  const response = await api.request("/");
  expect(response.headers.get("content-type")).toContain("text/html");
  expect(response.headers.get("content-security-policy")).toMatch(
    /default-src 'self'.*frame-ancestors 'none'/,
  );
  const html = await response.text();
  expect(html).not.toMatch(/https?:\/\//);
  for (const path of ["/jobs", "/jobs/1", "/settings/keys", "/sign-in"]) {
    expect([path, await (await api.request(path)).text()]).toEqual([path, html]);
  }
  const files = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) => path!);
  expect(files.length).toBeGreaterThan(1);
  for (const file of files) {
    const answer = await api.request(`/${file}`);
    expect([file, answer.status]).toEqual([file, 200]);
    if (/\.(js|css)$/.test(file)) expect(answer.headers.get("cache-control")).toContain("immutable");
  }
  expect((await api.request("/assets/..%2f..%2fpackage.json")).status).toBe(404);
});

test("where the dashboard was not built, the first page has links to everything else, and no script", async () => {
  const html = landingPage(undefined);
  expect(html).not.toMatch(/<script|<link|src=|https?:\/\//);
  const linked = [...html.matchAll(/href="(\/[^"#]*)"/g)].map(([, href]) => href!);
  for (const href of new Set(linked)) expect([href, (await api.request(href)).status]).toEqual([href, 200]);
});

const found = await findBrowser();
const inBrowser = "reason" in found ? test.skip : test;

inBrowser(
  `/docs shows contents, fields in tables and examples${"reason" in found ? ` (skipped: ${found.reason})` : ""}`,
  async () => {
    if ("reason" in found) return;
    const browser = await openBrowser(found);
    try {
      const page = await browser.newPage({ viewport: { width: 1500, height: 1000 } });
      const [complaints, requested]: [string[], string[]] = [[], []];
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("request", (request) => requested.push(request.url()));
      await page.goto(`${api.url}/docs`);
      const contents = page.locator(".menu-content");
      for (const tag of ["Jobs, batches and initial images", "Cancel, try again, remove"]) {
        await contents.getByText(tag).first().waitFor();
      }
      await contents.getByText("Jobs, batches and initial images").first().click();
      await contents.getByText("Submit an image job").click();
      const image = page.locator('[id="tag/submit/operation/submitImage"]');
      const cells = await image.locator("table td").allInnerTexts();
      expect(cells.some((cell) => cell.startsWith("width"))).toBe(true);
      expect(cells.some((cell) => /256 .. 2048/.test(cell) && cell.includes("multiple of 8"))).toBe(true);
      await image.getByText("a lighthouse above a sea of clouds").first().waitFor();
      const { SCREENSHOTS: folder } = process.env;
      if (folder !== undefined) await page.screenshot({ path: join(folder, "docs.png") });
      expect(complaints).toEqual([]);
      const elsewhere = requested.filter((url) => !url.startsWith(api.url) && !url.startsWith("data:"));
      expect(elsewhere).toEqual([]);
    } finally {
      await browser.close();
    }
  },
);

test("figures can be scraped, with jobs by status and requests by route", async () => {
  await api.post("generate", { type: "image", prompt: "a cat" });
  await api.post("generate", { type: "image" });
  const text = await (await api.request("/metrics")).text();
  const lines = text.split("\n");
  expect(lines).toContain('genga_jobs{status="queued",service="api"} 1');
  expect(lines).toContain('genga_jobs_accepted_total{type="image",service="api"} 1');
  const refused = lines.filter((line) =>
    line.startsWith('genga_submissions_refused_total{code="missing-field"'),
  );
  expect(refused).toHaveLength(1);
  for (const status of ["202", "422"]) {
    const labels = `route="submitJob",status="${status}"`;
    const counts = lines.filter(
      (line) => line.startsWith("genga_http_request_seconds_count") && line.includes(labels),
    );
    expect(counts).toHaveLength(1);
  }
});

test("the board shows tickets and changes nothing", async () => {
  expect((await api.request("/admin/queues")).status).toBe(200);
  const queues = await api.request("/admin/queues/api/queues?activeQueue=default&status=latest&page=1");
  expect(await queues.json()).toMatchObject({
    queues: expect.arrayContaining([expect.objectContaining({ name: "default", readOnlyMode: true })]),
  });
  const change = await api.request("/admin/queues/api/queues/default/pause", { method: "PUT" });
  expect(change.status).toBe(405);
});
