import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type JobEvent } from "@genga/jobs";
import { ConfigurationError, createLogger, readConfiguration } from "@genga/runtime";
import pg from "pg";
import { askUntil } from "@genga/testing";
import { startApi } from "../src/start-api.ts";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

interface ToldKey {
  id: string;
  key: string;
  previousValidUntil: string | null;
}
const as = (key: string): Record<string, string> => ({ "x-api-key": key });
const times = { keys: { rememberMs: 20, checkEveryMs: 20 } };
const silent = createLogger({ name: "api", level: "silent" });

async function addKey(
  api: ApiUnderTest,
  body: { name: string; tenant?: string; role?: string },
  key?: string,
): Promise<ToldKey> {
  const response = await api.post("keys", { tenant: "studio", ...body }, key === undefined ? {} : as(key));
  expect(response.status).toBe(201);
  return (await response.json()) as ToldKey;
}

/** Of a job of the tenant "studio", after its first event. */
async function studiosEvents(api: ApiUnderTest, jobId: string): Promise<JobEvent[]> {
  const [studio] = await api.database.tenants.ensureTenants(["studio"]);
  return await api.database.jobReader.of(studio!.id).listEvents(jobId, 1, 100);
}

async function query(api: ApiUnderTest, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe("an API without keys on loopback", () => {
  let api: ApiUnderTest;
  beforeAll(async () => {
    api = await startApiUnderTest({ times });
  });
  afterAll(() => api.stop());

  test("needs keys once the first one exists, in every process, and also after it is revoked", async () => {
    const other = await api.startAnother();
    const statusesOf = async (key?: string): Promise<number[]> =>
      Promise.all(
        [api.url, other.url].map(
          async (url) =>
            (await fetch(`${url}/api/anime/queue`, key === undefined ? {} : { headers: as(key) })).status,
        ),
      );
    const refuses = async (key?: string): Promise<boolean> =>
      (await statusesOf(key)).every((status) => status === 401);
    expect(await statusesOf()).toEqual([200, 200]);
    const { id, key } = await addKey(api, { name: "first", role: "operate" });
    // The process that made it knows at once, the others when they look again.
    expect((await statusesOf())[0]).toBe(401);
    await askUntil(() => refuses(), Boolean);
    expect(await statusesOf(key)).toEqual([200, 200]);
    const { security } = (await (await api.request("/openapi.json")).json()) as { security?: unknown };
    expect(security === undefined || JSON.stringify(security) !== "[]").toBe(true);

    expect((await api.request(`keys/${id}`, { method: "DELETE", headers: as(key) })).status).toBe(200);
    await askUntil(() => refuses(key), Boolean);
    expect(await refuses()).toBe(true);
  });

  test("may serve other machines once there is a key", async () => {
    const configuration = readConfiguration({ ...api.env, HOST: "0.0.0.0" });
    const running = await startApi(configuration, silent);
    try {
      const { port } = new URL(running.url);
      expect((await fetch(`http://127.0.0.1:${port}/api/anime/queue`)).status).toBe(401);
    } finally {
      await running.stop();
    }
  });
});

test("an API for other machines does not start without a key of either source", async () => {
  const api = await startApiUnderTest();
  try {
    const start = startApi(readConfiguration({ ...api.env, HOST: "0.0.0.0" }), silent);
    await expect(start).rejects.toThrow(ConfigurationError);
  } finally {
    await api.stop();
  }
});

describe("keys", () => {
  const operator = "key-that-operates";
  let api: ApiUnderTest;
  beforeAll(async () => {
    api = await startApiUnderTest({ env: { API_KEYS: `studio:operate:${operator}` }, times });
  });
  afterAll(() => api.stop());

  const statusOf = async (key: string, path = "queue"): Promise<number> =>
    (await api.request(path, { headers: as(key) })).status;
  const auditOf = async (count: number): Promise<Record<string, unknown>[]> => {
    const response = await api.request(`audit-events?limit=${count}`, { headers: as(operator) });
    return ((await response.json()) as { events: Record<string, unknown>[] }).events;
  };

  test("of API_KEYS are valid only in the process that has them", async () => {
    const another = await api.startAnother({ API_KEYS: "studio:operate:another-key-here" });
    const ask = async (key: string): Promise<number> =>
      (await fetch(`${another.url}/metrics`, { headers: as(key) })).status;
    expect([await ask(operator), await ask("another-key-here")]).toEqual([401, 200]);
    expect(await statusOf("another-key-here")).toBe(401);
    const hashes = await query(
      api,
      "SELECT count(*)::int AS count FROM api_keys UNION ALL SELECT count(*)::int FROM access_keys",
    );
    expect(hashes).toEqual([{ count: 0 }, { count: 0 }]);
    await another.stop();
  });

  test("that operators create have their tenant and role, and are shown once", async () => {
    const { key: plain } = await addKey(api, { name: "plain" }, operator);
    expect([await statusOf(plain), await statusOf(plain, "keys")]).toEqual([200, 403]);
    const { key } = await addKey(api, { name: "reader", tenant: "rival", role: "read" }, operator);
    expect(await statusOf(key)).toBe(200);
    expect((await api.post("generate", { type: "image", prompt: "a" }, as(key))).status).toBe(403);
    expect(await statusOf(key, "keys")).toBe(403);
    const list = await (await api.request("keys", { headers: as(operator) })).text();
    expect(list).toContain('"reader"');
    expect(list).not.toContain(key);
    expect(api.logged.join()).not.toContain(key);
    const taken = await api.post("keys", { name: "reader", tenant: "rival" }, as(operator));
    expect([taken.status, ((await taken.json()) as { code: string }).code]).toEqual([409, "key-name-taken"]);
  });

  test.each([
    { name: "API_KEYS studio:operate", tenant: "studio" },
    { name: "", tenant: "studio" },
    { name: "x", tenant: "operate" },
    { name: "x", tenant: "Studio" },
    { name: "x", tenant: "studio", role: "admin" },
    { name: "x" },
  ])("are not created from %j", async (body) => {
    expect((await api.post("keys", body, as(operator))).status).toBe(422);
  });

  test("are rotated without losing anything, and revoked", async () => {
    const made = await addKey(api, { name: "turned" }, operator);
    const rotate = (body?: object): Promise<Response> =>
      body === undefined
        ? api.request(`keys/${made.id}/rotate`, { method: "POST", headers: as(operator) })
        : api.post(`keys/${made.id}/rotate`, body, as(operator));
    const second = (await (await rotate()).json()) as ToldKey;
    expect(Date.parse(second.previousValidUntil!) - Date.now()).toBeGreaterThan(23 * 3_600_000);
    expect([await statusOf(made.key), await statusOf(second.key)]).toEqual([200, 200]);
    const third = (await (await rotate({ overlapMinutes: 0 })).json()) as ToldKey;
    expect(await Promise.all([made.key, second.key, third.key].map((key) => statusOf(key)))).toEqual([
      401, 401, 200,
    ]);
    const revoked = await api.request(`keys/${made.id}`, { method: "DELETE", headers: as(operator) });
    expect(revoked.status).toBe(200);
    expect(await statusOf(third.key)).toBe(401);
    for (const id of [made.id, "x", "0190b8a0-0000-7000-8000-00000000dead"]) {
      const response = await api.post(`keys/${id}/rotate`, {}, as(operator));
      expect([id, response.status]).toEqual([id, 404]);
    }
    expect((await rotate({ overlapMinutes: -1 })).status).toBe(422);
    expect((await api.post(`keys/${made.id}/rotate`, "null", as(operator))).status).toBe(422);
    expect((await auditOf(4)).map(({ action }) => action)).toEqual([
      ...["key-revoked", "key-rotated", "key-rotated", "key-added"],
    ]);
  });

  test("name those who cancel and retry in the events of jobs, alone and in a batch", async () => {
    const { key } = await addKey(api, { name: "artist" }, operator);
    const job = { type: "image", prompt: "a cat" };
    const single = (await (await api.post("generate", job, as(key))).json()) as { id: string };
    const batch = (await (await api.post("batches", { jobs: [job, job] }, as(key))).json()) as {
      id: string;
      jobs: { id: string }[];
    };
    for (const path of [
      `jobs/${single.id}/cancel`,
      `jobs/${single.id}/retry`,
      `batches/${batch.id}/cancel`,
    ]) {
      expect([path, (await api.post(path, {}, as(key))).status]).toEqual([path, 202]);
    }
    const eventsOf = async (id: string): Promise<unknown[]> =>
      (await studiosEvents(api, id)).map(({ type, data }) => [type, data]);
    expect(await eventsOf(single.id)).toEqual([
      ["cancelled", { by: "artist" }],
      ["retry_requested", { from: "cancelled", by: "artist" }],
    ]);
    for (const { id } of batch.jobs) expect(await eventsOf(id)).toEqual([["cancelled", { by: "artist" }]]);
  });

  test("name those who cancel jobs that run and try a batch again", async () => {
    const { key } = await addKey(api, { name: "night shift" }, operator);
    const job = { type: "image", prompt: "a cat" };
    const [server] = await api.database.servers.registerServers([{ url: "http://gpu-9:8188", slots: 3 }]);
    const single = (await (await api.post("generate", job, as(key))).json()) as { id: string };
    const submitBatch = async (): Promise<{ id: string; job: string }> => {
      const batch = (await (await api.post("batches", { jobs: [job] }, as(key))).json()) as {
        id: string;
        jobs: { id: string }[];
      };
      return { id: batch.id, job: batch.jobs[0]!.id };
    };
    const [running, failed] = [await submitBatch(), await submitBatch()];
    for (const id of [single.id, running.job]) await api.worker.claim(id, server!.id);
    const failure = { class: "execution" as const, code: "broke", message: "It broke." };
    await api.worker.end(await api.worker.claim(failed.job, server!.id), { kind: "failed", failure });
    for (const path of [
      `jobs/${single.id}/cancel`,
      `batches/${running.id}/cancel`,
      `batches/${failed.id}/retry`,
    ]) {
      expect([path, (await api.post(path, {}, as(key))).status]).toEqual([path, 202]);
    }
    const lastOf = async (id: string): Promise<unknown> => {
      const last = (await studiosEvents(api, id)).at(-1);
      return [last?.type, last?.data["by"]];
    };
    expect(await Promise.all([single.id, running.job, failed.job].map(lastOf))).toEqual([
      ["cancel_requested", "night shift"],
      ["cancel_requested", "night shift"],
      ["retry_requested", "night shift"],
    ]);
  });

  test("name those who pause and resume the farm, once for each change", async () => {
    for (const action of ["pause", "pause", "resume", "resume"]) {
      const response = await api.post(`farm/${action}`, {}, as(operator));
      expect([action, response.status]).toEqual([action, 202]);
    }
    const key = { name: "API_KEYS studio:operate" };
    expect(await auditOf(2)).toMatchObject([
      { action: "farm-resumed", key },
      { action: "farm-paused", key },
    ]);
    expect((await auditOf(3))[2]).not.toMatchObject({ action: expect.stringMatching(/^farm-/) });
  });

  test("of one tenant and role in API_KEYS are told apart by numbers, in their order", async () => {
    const [submits, first, second, rival] = ["submits", "first", "second", "rival"].map(
      (of) => `key-of-${of}`,
    );
    const configured = `atelier:${submits!},atelier:operate:${first!},atelier:operate:${second!},rival:operate:${rival!}`;
    const another = await api.startAnother({ API_KEYS: configured });
    const changes = [
      { action: "pause", key: second },
      { action: "resume", key: rival },
      { action: "pause", key: first },
      { action: "resume", key: second },
    ];
    for (const { action, key } of changes) {
      const path = new URL(`/api/anime/farm/${action}`, another.url).href;
      expect([action, (await api.post(path, {}, as(key!))).status]).toEqual([action, 202]);
    }
    expect((await auditOf(4)).map(({ key }) => key)).toMatchObject([
      { name: "API_KEYS atelier:operate, number 2" },
      { name: "API_KEYS atelier:operate" },
      { name: "API_KEYS rival:operate" },
      { name: "API_KEYS atelier:operate, number 2" },
    ]);
    await another.stop();
  });

  test("name those who remove a server that no worker names any more", async () => {
    const [gone, named] = await api.database.servers.registerServers(
      ["http://gone:8188", "http://named:8188"].map((url) => ({ url, slots: 1 })),
    );
    await query(api, `INSERT INTO workers (id, server_ids) VALUES ('w-1', ARRAY['${named!.id}']::uuid[])`);
    const remove = async (): Promise<number> =>
      (await api.request(`servers/${gone!.id}`, { method: "DELETE", headers: as(operator) })).status;
    expect([await remove(), await remove()]).toEqual([204, 404]);
    const [last, before] = await auditOf(2);
    const key = { name: "API_KEYS studio:operate" };
    expect(last).toMatchObject({ action: "server-removed", subject: gone!.id, key });
    expect(before).not.toMatchObject({ action: "server-removed" });
  });

  test("name those who remove a job, with its tombstone's time and without its id", async () => {
    const { key } = await addKey(api, { name: "cleaner" }, operator);
    const job = await api.post("generate", { type: "image", prompt: "a cat" }, as(key));
    const { id } = (await job.json()) as { id: string };
    await api.post(`jobs/${id}/cancel`, {}, as(key));
    await api.request(`jobs/${id}`, { method: "DELETE", headers: as(key) });
    const [event] = await auditOf(1);
    expect(event).toMatchObject({
      action: "job-removed",
      key: { name: "cleaner" },
      subject: null,
      details: {},
    });
    expect(JSON.stringify(event)).not.toContain(id);
    expect(
      await query(
        api,
        `SELECT count(*)::int AS joined FROM removed_jobs job JOIN audit_events event
         ON event.created_at = job.removed_at AND event.tenant_id = job.tenant_id WHERE job.id = '${id}'`,
      ),
    ).toEqual([{ joined: 1 }]);
  });

  test("name those who drain and resume a server, once for each change", async () => {
    const [server] = await api.database.servers.registerServers([{ url: "http://gpu:8188", slots: 1 }]);
    for (const action of ["drain", "drain", "resume"]) {
      const response = await api.post(`servers/${server!.id}/${action}`, {}, as(operator));
      expect([action, response.status]).toEqual([action, 202]);
    }
    const key = { name: "API_KEYS studio:operate" };
    expect(await auditOf(2)).toMatchObject([
      { action: "server-resumed", subject: server!.id, key, tenantId: null },
      { action: "server-drained", subject: server!.id, key },
    ]);
    expect((await auditOf(3))[2]).not.toMatchObject({ action: "server-drained" });
  });

  test("audit events are paged by a cursor, and bad cursors are refused", async () => {
    const ask = (search: string): Promise<Response> =>
      api.request(`audit-events?${search}`, { headers: as(operator) });
    const first = (await (await ask("limit=1")).json()) as { events: { id: string }[]; nextCursor: string };
    const next = (await (await ask(`limit=1&cursor=${first.nextCursor}`)).json()) as typeof first;
    expect(Number(next.events[0]!.id)).toBeLessThan(Number(first.events[0]!.id));
    for (const search of ["cursor=x", "cursor=-1", "limit=0", "limit=201", "other=1"]) {
      expect([search, (await ask(search)).status]).toEqual([search, 422]);
    }
  });
});
