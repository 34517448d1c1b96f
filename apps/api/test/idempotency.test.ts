import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ClaimLostError } from "@genga/jobs";
import { buildJob } from "@genga/testing";
import pg from "pg";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let client: pg.Client;

beforeAll(async () => {
  const apiKeys = "studio:key-of-studio,rival:key-of-rival";
  api = await startApiUnderTest({ env: { API_KEYS: apiKeys } });
  client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
}, 180_000);
afterAll(async () => {
  await client.end();
  await api.stop();
});

const image = { type: "image", prompt: "a quiet street", negativePrompt: "rain", width: 512, height: 512 };

function post(path: string, body: unknown, key: string, tenant = "studio"): Promise<Response> {
  return api.post(path, body, { "idempotency-key": key, "x-api-key": `key-of-${tenant}` });
}

async function jobsOf(project: string): Promise<{ id: string }[]> {
  const response = await api.request(`jobs?project=${project}`, {
    headers: { "x-api-key": "key-of-studio" },
  });
  return ((await response.json()) as { jobs: { id: string }[] }).jobs;
}

describe("A submission that is repeated with its Idempotency-Key", () => {
  test("is answered as the first time, and queues nothing again", async () => {
    const project = randomUUID();
    const key = randomUUID();
    const first = await post("generate", { ...image, project }, key);
    const again = await post("generate", { ...image, project }, key);
    expect([first.status, again.status]).toEqual([202, 202]);
    expect([first, again].map(({ headers }) => headers.get("idempotency-replayed"))).toEqual([null, "true"]);
    expect(again.headers.get("location")).toBe(first.headers.get("location"));
    expect(await again.json()).toEqual(await first.json());
    expect(await jobsOf(project)).toHaveLength(1);
  });

  test("gets the warnings of the first answer, whatever became of the job", async () => {
    const key = randomUUID();
    const workflow = {
      "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 1 } },
      "2": { class_type: "AClassOfSomebody", inputs: { images: ["1", 0] } },
      "3": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "a" } },
    };
    const body = { type: "workflow", workflow };
    const first = (await (await post("generate", body, key)).json()) as { id: string };
    await api.request(`jobs/${first.id}/cancel`, {
      method: "POST",
      headers: { "x-api-key": "key-of-studio" },
    });
    expect(await (await post("generate", body, key)).json()).toEqual(first);
  });

  test("may be a batch, as a list or as lines", async () => {
    const project = randomUUID();
    const key = randomUUID();
    const jobs = [1, 2, 3].map((seed) => ({ ...image, project, seed, prompt: `shot ${seed}` }));
    const first = await post("batches", { name: "night", jobs }, key);
    const again = await post("batches", { name: "night", jobs }, key);
    expect(again.status).toBe(202);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(await again.json()).toEqual(await first.json());
    expect(await jobsOf(project)).toHaveLength(3);
    const lines = await api.request("batches?name=night", {
      method: "POST",
      headers: {
        "content-type": "application/x-ndjson",
        "idempotency-key": key,
        "x-api-key": "key-of-studio",
      },
      body: jobs.map((job) => JSON.stringify(job)).join("\n"),
    });
    expect(lines.status).toBe(422);
  });

  test("is answered after the deadline in its query, too", async () => {
    const headers = { "content-type": "application/x-ndjson", "x-api-key": "key-of-studio" };
    const postLines = (key: string, expiresAt: number): Promise<Response> =>
      api.request(`batches?expiresAt=${new Date(expiresAt).toISOString()}`, {
        ...{ method: "POST", headers: { ...headers, "idempotency-key": key }, body: JSON.stringify(image) },
      });
    for (let inMs = 1_000; ; inMs *= 2) {
      const [key, expiresAt] = [randomUUID(), Date.now() + inMs];
      const first = await postLines(key, expiresAt);
      // On a very busy machine the deadline may pass before the request is read.
      if (first.status !== 202) continue;
      while (Date.now() <= expiresAt) await sleep(expiresAt - Date.now() + 1);
      const again = await postLines(key, expiresAt);
      expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([202, "true"]);
      expect(await again.json()).toEqual(await first.json());
      const late = await postLines(randomUUID(), expiresAt);
      expect([late.status, await late.json()]).toMatchObject([422, { problems: [{ path: "expiresAt" }] }]);
      return;
    }
  });

  test("is answered by another process than the one that accepted it", async () => {
    const key = randomUUID();
    const other = await api.startAnother();
    const headers = {
      ...{ "content-type": "application/json", "idempotency-key": key, "x-api-key": "key-of-studio" },
    };
    const body = JSON.stringify({ jobs: [image] });
    const first = await fetch(`${other.url}/api/anime/batches`, { method: "POST", headers, body });
    const { id } = (await first.json()) as { id: string };
    await other.stop();
    expect(await (await post("batches", { jobs: [image] }, key)).json()).toMatchObject({ id });
  });

  test("is refused when it says something else, or goes somewhere else", async () => {
    const project = randomUUID();
    const key = randomUUID();
    const parameters = { prompt: "a quiet street", width: 512, height: 512, project };
    await post("generate/image", parameters, key);
    for (const [path, body] of [
      ["generate/image", { ...parameters, prompt: "another street" }],
      ["generate", { ...image, project }],
      ["batches", { jobs: [{ ...image, project }] }],
    ] as const) {
      const response = await post(path, body, key);
      expect(response.status).toBe(422);
      expect(await response.json()).toMatchObject({ code: "idempotency-key-reused" });
    }
    expect(await jobsOf(project)).toHaveLength(1);
  });

  test("is another submission when another tenant sends it", async () => {
    const key = randomUUID();
    const own = (await (await post("generate", image, key)).json()) as { id: string };
    const others = await post("generate", image, key, "rival");
    expect(others.headers.get("idempotency-replayed")).toBeNull();
    expect(((await others.json()) as { id: string }).id).not.toBe(own.id);
  });

  test("is told at once that the first one is under way", async () => {
    const project = randomUUID();
    const key = randomUUID();
    const body = { ...image, project };
    await client.query("BEGIN");
    await client.query("LOCK TABLE jobs IN SHARE MODE");
    const first = post("generate", body, key);
    const claimed = "SELECT FROM idempotency_keys WHERE claimed_until IS NOT NULL";
    while ((await client.query(claimed)).rowCount === 0)
      await new Promise((resolve) => setTimeout(resolve, 10));
    const second = await post("generate", body, key);
    expect(second.status).toBe(409);
    expect(second.headers.get("retry-after")).toBe("1");
    expect(await second.json()).toMatchObject({ code: "request-under-way" });
    await client.query("COMMIT");
    expect((await first).status).toBe(202);
    expect((await post("generate", body, key)).headers.get("idempotency-replayed")).toBe("true");
    expect(await jobsOf(project)).toHaveLength(1);
  });

  test("is accepted once, however many come at the same moment", async () => {
    const project = randomUUID();
    const key = randomUUID();
    const responses = await Promise.all(
      Array.from({ length: 12 }, () => post("generate", { ...image, project }, key)),
    );
    const accepted = responses.filter(
      ({ status, headers }) => status === 202 && !headers.has("idempotency-replayed"),
    );
    expect(accepted).toHaveLength(1);
    expect(responses.every(({ status }) => status === 202 || status === 409)).toBe(true);
    expect(await jobsOf(project)).toHaveLength(1);
  });

  test("may be mended after a refusal, which is not remembered", async () => {
    const key = randomUUID();
    expect((await post("generate", { ...image, width: -1 }, key)).status).toBe(422);
    const mended = await post("generate", image, key);
    expect(mended.status).toBe(202);
    expect(mended.headers.get("idempotency-replayed")).toBeNull();
  });

  test("answers 410 once its job was removed, and is forgotten a day later", async () => {
    const key = randomUUID();
    const { id } = (await (await post("generate", image, key)).json()) as { id: string };
    await client.query("UPDATE idempotency_keys SET remarks = $1 WHERE resource_id = $2", [
      { warnings: ["Node 1: a title of the client"] },
      id,
    ]);
    const headers = { "x-api-key": "key-of-studio" };
    await api.request(`jobs/${id}/cancel`, { method: "POST", headers });
    expect((await api.request(`jobs/${id}`, { method: "DELETE", headers })).status).toBe(204);
    const gone = await post("generate", image, key);
    expect(gone.status).toBe(410);
    expect(await gone.json()).toMatchObject({ code: "job-removed" });
    const { rows } = await client.query("SELECT remarks FROM idempotency_keys WHERE resource_id = $1", [id]);
    expect(rows).toEqual([{ remarks: {} }]);
    const dayMs = 24 * 60 * 60_000;
    await api.database.keeping.forgetKeys(dayMs, 100);
    expect((await post("generate", image, key)).status).toBe(410);
    await client.query("UPDATE idempotency_keys SET removed_at = removed_at - interval '25 hours'");
    await api.database.keeping.forgetKeys(dayMs, 100);
    expect((await post("generate", image, key)).status).toBe(202);
  });

  test("must have a key that a header can hold", async () => {
    for (const key of ["", "with space", "x".repeat(256)]) {
      expect((await post("generate", image, key)).status).toBe(422);
    }
  });
});

test("A request that had its key for too long stores nothing once another one has taken it over", async () => {
  const tenant = await api.database.tenants.defaultTenant();
  const key = { tenantId: tenant.id, door: "anime", keyHash: randomUUID() };
  const request = { route: "job ", bodyHash: "same" };
  const { idempotency, jobRequests } = api.database;
  const slow = await idempotency.claim(key, request, -1_000);
  const quick = await idempotency.claim(key, request, 60_000);
  expect([slow.outcome, quick.outcome]).toEqual(["claimed", "claimed"]);
  if (slow.outcome !== "claimed" || quick.outcome !== "claimed") return;
  const late = { tenantId: tenant.id, batch: null, jobs: [buildJob()], claim: slow.claim };
  await expect(jobRequests.insertJobs(late)).rejects.toThrow(ClaimLostError);
  expect(await api.database.jobReader.of(tenant.id).findJobs(late.jobs.map(({ id }) => id))).toEqual([]);
  // What the slow one gives back is not the quick one's.
  await idempotency.release(slow.claim);
  const jobs = [buildJob()];
  await jobRequests.insertJobs({ tenantId: tenant.id, batch: null, jobs, claim: quick.claim });
  expect(await idempotency.claim(key, request, 60_000)).toMatchObject({
    ...{ outcome: "accepted", resourceId: jobs[0]?.id, isRemoved: false },
  });
});
