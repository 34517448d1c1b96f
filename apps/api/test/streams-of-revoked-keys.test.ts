import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { askUntil } from "@genga/testing";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { openEvents, type EventReader } from "./event-source.ts";

// A key is checked when a stream is opened; what was revoked since must not be told what happens next.

const operator = "key-that-operates";
const times = {
  keys: { rememberMs: 60_000, checkEveryMs: 20 },
  streamKeysEveryMs: 50,
  // Only what ends a stream may wake it.
  watch: { heartbeatMs: 60_000, lookMinMs: 500, lookMaxMs: 60_000 },
};
const as = (key: string): Record<string, string> => ({ "x-api-key": key });
let api: ApiUnderTest;
afterEach(() => api.stop());

interface Made {
  id: string;
  key: string;
}
async function makeKey(name: string, key?: string): Promise<Made> {
  const body = { name, tenant: "studio", role: "submit" };
  const answer = await api.post("keys", body, key === undefined ? {} : as(key));
  expect(answer.status).toBe(201);
  return (await answer.json()) as Made;
}
async function submit(key?: string): Promise<string> {
  const body = { type: "image", prompt: "a cat" };
  const answer = await api.post("generate", body, key === undefined ? {} : as(key));
  return ((await answer.json()) as { id: string }).id;
}
async function watch(url: string, id: string, key?: string): Promise<EventReader> {
  const stream = await openEvents(`${url}/api/anime/jobs/${id}/events`, key === undefined ? {} : as(key));
  expect((await stream.next())?.event).toBe("snapshot");
  return stream;
}
async function query(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  await client.query(sql);
  await client.end();
}
const closedOf = (id: string): object => ({
  event: "closed",
  data: { jobId: id, reason: "key-not-valid" },
});

describe("with keys", () => {
  beforeEach(async () => {
    api = await startApiUnderTest({ env: { API_KEYS: `studio:operate:${operator}` }, times });
  });

  test("a key's revocation ends its open streams in every process, with the reason, and no other streams", async () => {
    const other = await api.startAnother();
    const [revoked, kept] = [await makeKey("leaked", operator), await makeKey("kept", operator)];
    const id = await submit(kept.key);
    const ending = [await watch(api.url, id, revoked.key), await watch(other.url, id, revoked.key)];
    const going = [await watch(api.url, id, kept.key), await watch(other.url, id, operator)];

    await api.request(`keys/${revoked.id}`, { method: "DELETE", headers: as(operator) });
    for (const stream of ending) expect(await stream.rest()).toMatchObject([closedOf(id)]);
    const again = await fetch(`${other.url}/api/anime/jobs/${id}/events`, { headers: as(revoked.key) });
    expect(again.status).toBe(401);

    await api.post(`jobs/${id}/cancel`, {}, as(kept.key));
    for (const stream of going) {
      expect((await stream.rest()).map(({ data }) => data["type"])).toEqual(["cancelled"]);
    }
  });

  test("a stream ends when the overlap of its rotated key does", async () => {
    const { id: keyId, key } = await makeKey("turned", operator);
    const id = await submit(key);
    const stream = await watch(api.url, id, key);
    const rotated = await api.post(`keys/${keyId}/rotate`, { overlapMinutes: 0 }, as(operator));
    const going = await watch(api.url, id, ((await rotated.json()) as Made).key);
    expect(await stream.rest()).toMatchObject([closedOf(id)]);
    await api.post(`jobs/${id}/cancel`, {}, as(operator));
    expect(await going.rest()).toMatchObject([{ event: "event", data: { type: "cancelled" } }]);
  });

  test("a cached key is refused once its overlap has ended", async () => {
    const { id: keyId, key } = await makeKey("fading", operator);
    await api.post(`keys/${keyId}/rotate`, { overlapMinutes: 1 }, as(operator));
    await query(
      `UPDATE access_key_secrets SET valid_until = now() + interval '2 seconds'
       WHERE key_id = '${keyId}' AND valid_until IS NOT NULL`,
    );
    const statusOf = async (): Promise<number> => (await api.request("queue", { headers: as(key) })).status;
    expect(await statusOf()).toBe(200);
    await askUntil(statusOf, (status) => status !== 200);
    expect(await statusOf()).toBe(401);
  });

  test("the place of a stream that was ended so is free again", async () => {
    const { id: keyId, key } = await makeKey("leaked", operator);
    await api.request("tenants/studio/limits", {
      method: "PUT",
      headers: { ...as(operator), "content-type": "application/json" },
      body: JSON.stringify({
        ...{ jobsQueuedMax: null, jobsRunningMax: null, requestsPerMinute: null, requestsAtOnce: null },
        streamsMax: 1,
      }),
    });
    const id = await submit(key);
    const stream = await watch(api.url, id, key);
    const open = (): Promise<Response> => api.request(`jobs/${id}/events`, { headers: as(operator) });
    expect((await open()).status).toBe(429);
    await api.request(`keys/${keyId}`, { method: "DELETE", headers: as(operator) });
    await stream.rest();
    let answer = await open();
    while (answer.status === 429) answer = await open();
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
  });
});

test("streams that were opened without a key end once keys are needed", async () => {
  api = await startApiUnderTest({ times });
  const id = await submit();
  const stream = await watch(api.url, id);
  await makeKey("first");
  expect(await stream.rest()).toMatchObject([closedOf(id)]);
});
