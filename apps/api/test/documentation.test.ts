import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { z } from "zod";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApiUnderTest();
});
afterAll(() => api.stop());

const documentSchema = z.object({
  openapi: z.string().startsWith("3.1"),
  paths: z.record(
    z.string(),
    z.record(z.string(), z.looseObject({ summary: z.string(), responses: z.unknown() })),
  ),
  components: z.object({ schemas: z.record(z.string(), z.looseObject({})) }),
});

async function description(): Promise<z.infer<typeof documentSchema>> {
  return documentSchema.parse(await (await api.request("/openapi.json")).json());
}

test("every documented operation exists, with its method", async () => {
  const { paths } = await description();
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method, path]),
  );
  expect(operations.length).toBeGreaterThan(18);
  for (const [method, path] of operations) {
    const response = await api.request(path!.replace("{id}", "x"), {
      method: method!.toUpperCase(),
      ...(method === "post" ? { headers: { "content-type": "application/json" }, body: "{}" } : {}),
    });
    const { code } = (await response.json().catch(() => ({}))) as { code?: string };
    expect([method, path, response.status, code]).not.toEqual([method, path, 405, "method-not-allowed"]);
    expect([method, path, code]).not.toEqual([method, path, "path-not-found"]);
  }
});

test("the description is that of the schemas: every reference leads somewhere, and bounds are told", async () => {
  const { components, paths } = await description();
  const text = JSON.stringify({ components, paths });
  const references = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
  expect(references.length).toBeGreaterThan(10);
  for (const name of references) expect(Object.keys(components.schemas)).toContain(name);
  expect(components.schemas["ImageJob"]).toMatchObject({
    additionalProperties: false,
    properties: { width: { minimum: 256, maximum: 2048 }, steps: { minimum: 1, maximum: 100 }, priority: {} },
  });
  expect(components.schemas["VideoJob"]).toMatchObject({ properties: { fps: { minimum: 8, maximum: 30 } } });
});

test.each(["/", "/docs"])("the page %s stands alone: no script, nothing from elsewhere", async (path) => {
  const response = await api.request(path);
  expect(response.headers.get("content-type")).toContain("text/html");
  const html = await response.text();
  expect(html).not.toMatch(/<script|<link|src=/);
  const linked = [...html.matchAll(/href="(\/[^"#]*)"/g)].map(([, href]) => href!);
  for (const href of new Set(linked)) expect([href, (await api.request(href)).status]).toEqual([href, 200]);
});

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
    const labels = `route="/api/anime/generate",status="${status}"`;
    const counts = lines.filter(
      (line) => line.startsWith("genga_http_request_seconds_count") && line.includes(labels),
    );
    expect(counts).toHaveLength(1);
  }
});

test("the board shows tickets and changes nothing", async () => {
  expect((await api.request("/admin/queues")).status).toBe(200);
  const queues = await api.request("/admin/queues/api/queues?activeQueue=default&status=latest&page=1");
  expect(await queues.json()).toMatchObject({ queues: [{ name: "default", readOnlyMode: true }] });
  const change = await api.request("/admin/queues/api/queues/default/pause", { method: "PUT" });
  expect(change.status).toBe(405);
});
