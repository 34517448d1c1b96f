import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createBLAKE3 } from "hash-wasm";
import { assetsOfContentMax } from "@genga/jobs";
import pg from "pg";
import sharp from "sharp";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// The assets of the Comfy API v2: two tenants on one API.

interface Asset {
  id: string;
  hash: string | null;
  size_bytes: number;
  content_type: string;
  file_path: string | null;
  created_new?: boolean;
  url: string;
  url_expires_at: string;
  expires_at: string | null;
  job_id?: string;
}
interface Envelope {
  error: { code: string; message: string; details?: { problems?: { field: string }[] } };
}

let api: ApiUnderTest;
const own = { authorization: "Bearer key-of-studio" };
const reader = { authorization: "Bearer key-that-reads" };
const other = { authorization: "Bearer key-of-atelier" };

beforeAll(async () => {
  api = await startApiUnderTest({
    env: { API_KEYS: "studio:key-of-studio,studio:read:key-that-reads,atelier:key-of-atelier" },
  });
});
afterAll(() => api.stop());

let colors = 0;
/** A picture that no other test has. */
async function picture(): Promise<Uint8Array<ArrayBuffer>> {
  colors += 1;
  const background = { r: colors % 256, g: Math.floor(colors / 256), b: 77 };
  return new Uint8Array(
    await sharp({ create: { width: 32, height: 32, channels: 3, background } })
      .png()
      .toBuffer(),
  );
}
async function hashOf(bytes: Uint8Array): Promise<string> {
  const hasher = await createBLAKE3();
  return `blake3:${hasher.init().update(bytes).digest("hex")}`;
}

type FormFields = Record<string, string | string[] | undefined>;
/** A form as the official clients send it: the fields first. */
function formOf(bytes: Uint8Array<ArrayBuffer>, fields: FormFields = {}): FormData {
  const form = new FormData();
  const all: FormFields = { content_type: "image/png", file_path: "photo.png", ...fields };
  for (const [name, value] of Object.entries(all))
    for (const each of value === undefined ? [] : [value].flat()) form.append(name, each);
  form.append("file", new Blob([bytes]), "photo.png");
  return form;
}
const send = (form: FormData, headers: Record<string, string> = own): Promise<Response> =>
  api.request("/api/v2/assets", { method: "POST", body: form, headers });
async function made(form: FormData, headers?: Record<string, string>): Promise<Asset> {
  const answer = await send(form, headers);
  expect([200, 201]).toContain(answer.status);
  return (await answer.json()) as Asset;
}
const fromHash = (body: object, headers: Record<string, string> = own): Promise<Response> =>
  api.post("/api/v2/assets/from-hash", body, headers);
const get = (path: string, headers: Record<string, string> = own): Promise<Response> =>
  api.request(`/api/v2/assets/${path}`, { headers });
const remove = (id: string, headers: Record<string, string> = own): Promise<Response> =>
  api.request(`/api/v2/assets/${id}`, { method: "DELETE", headers });
async function refusal(answer: Response): Promise<[number, string]> {
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  return [answer.status, ((await answer.json()) as Envelope).error.code];
}

describe("an upload", () => {
  test("is an asset with the BLAKE3 of its content", async () => {
    const bytes = await picture();
    const answer = await send(formOf(bytes, { tags: ["input", "mask"], content_type: "text/plain" }));
    expect(answer.status).toBe(201);
    const asset = (await answer.json()) as Asset;
    expect(asset).toMatchObject({
      ...{ hash: await hashOf(bytes), size_bytes: bytes.length, content_type: "image/png" },
      ...{ file_path: "photo.png", created_new: true, url: `${api.url}/api/v2/assets/${asset.id}/content` },
    });
    expect(Date.parse(asset.url_expires_at)).toBeGreaterThan(Date.now());
    // UPLOADS_UNUSED_DAYS is 30.
    expect(Date.parse(asset.expires_at!) - Date.now()).toBeGreaterThan(29 * 86_400_000);
    const { id, hash, url, expires_at: expiresAt } = asset;
    expect(await (await get(id, reader)).json()).toMatchObject({ id, hash, url, expires_at: expiresAt });
  });

  test("of content that the tenant has sent before is another asset over it", async () => {
    const bytes = await picture();
    const first = await made(formOf(bytes));
    const answer = await send(formOf(bytes, { file_path: "again.png" }));
    expect(answer.status).toBe(200);
    const second = (await answer.json()) as Asset;
    expect(second).toMatchObject({ created_new: false, hash: first.hash, file_path: "again.png" });
    expect(second.id).not.toBe(first.id);
    // For another tenant it is new.
    expect((await send(formOf(bytes), other)).status).toBe(201);
  });

  test("with another content than declared makes no asset, and keeps no file if the hash came first", async () => {
    const [bytes, others] = [await picture(), await picture()];
    expect(await refusal(await send(formOf(bytes, { expected_hash: await hashOf(others) })))).toEqual([
      ...[409, "hash_mismatch"],
    ]);
    expect(await isKnown(bytes)).toBe(false);
    const noHash = formOf(bytes, { expected_hash: `sha256:${"0".repeat(64)}` });
    expect(await refusal(await send(noHash))).toEqual([409, "hash_mismatch"]);
    const late = formOf(bytes);
    late.append("expected_hash", await hashOf(others));
    expect(await refusal(await send(late))).toEqual([409, "hash_mismatch"]);
    await made(formOf(bytes, { expected_hash: await hashOf(bytes) }));
  });

  test.each<[string, FormFields, string]>([
    ["without a path", { file_path: undefined }, "file_path"],
    ["without a type", { content_type: undefined }, "content_type"],
    ["with too short a life", { expires_in: "59" }, "expires_in"],
    ["with a path that cannot be stored", { file_path: "a\u0000b" }, "file_path"],
    ["with very many tags", { tags: Array.from({ length: 17 }, String) }, "tags"],
  ])("%s is refused, and the field named", async (_what, fields, field) => {
    const answer = await send(formOf(await picture(), fields));
    const { error } = (await answer.json()) as Envelope;
    expect([answer.status, error.code]).toEqual([422, "invalid_request"]);
    expect(error.details?.problems?.map((problem) => problem.field)).toEqual([field]);
  });

  test("that is no picture or video, has no file, or two, is refused", async () => {
    const text = formOf(new Uint8Array(Buffer.from("not a picture")));
    expect(await refusal(await send(text))).toEqual([422, "invalid_request"]);
    const none = new FormData();
    none.append("file_path", "a.png");
    expect(await refusal(await send(none))).toEqual([422, "invalid_request"]);
    const two = formOf(await picture());
    two.append("file", new Blob([await picture()]), "b.png");
    expect(await refusal(await send(two))).toEqual([422, "invalid_request"]);
    const wrong = new FormData();
    wrong.append("image", new Blob([await picture()]), "a.png");
    expect(await refusal(await send(wrong))).toEqual([422, "invalid_request"]);
    const json = await api.post("/api/v2/assets", {}, own);
    expect(await refusal(json)).toEqual([422, "invalid_request"]);
  });

  test("with an Idempotency-Key works once; a refused one leaves the key", async () => {
    const keyed = { ...own, "idempotency-key": "key of a handle" };
    const text = formOf(new Uint8Array(Buffer.from("not a picture")));
    expect(await refusal(await send(text, keyed))).toEqual([422, "invalid_request"]);
    const bytes = await picture();
    const both = await Promise.all([send(formOf(bytes), keyed), send(formOf(bytes), keyed)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([201, 422]);
    expect(await refusal(await send(formOf(bytes), keyed))).toEqual([422, "idempotency_key_reuse"]);
    // Another tenant's keys are its own.
    expect((await send(formOf(bytes), { ...keyed, ...other })).status).toBe(201);
    // After a day the key is free again.
    await query("UPDATE idempotency_keys SET expires_at = now() WHERE expires_at IS NOT NULL");
    expect((await send(formOf(bytes), keyed)).status).toBe(200);
    expect(await refusal(await send(formOf(bytes), keyed))).toEqual([422, "idempotency_key_reuse"]);
    await query("UPDATE idempotency_keys SET expires_at = now() WHERE expires_at IS NOT NULL");
    expect(await api.database.keeping.forgetKeys(86_400_000, 100)).toBeGreaterThan(0);
  });
});

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    return (await client.query<object>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** As a client asks before it sends the bytes. */
async function isKnown(bytes: Uint8Array, headers: Record<string, string> = own): Promise<boolean> {
  const path = `/api/v2/assets/by-hash/${encodeURIComponent(await hashOf(bytes))}`;
  const answer = await api.request(path, { method: "HEAD", headers });
  expect([200, 404]).toContain(answer.status);
  return answer.status === 200;
}

describe("content", () => {
  test("is found by its hash by its own tenant only, also if our own API took it", async () => {
    const bytes = await picture();
    const hash = await hashOf(bytes);
    expect(await isKnown(bytes)).toBe(false);
    expect(await refusal(await fromHash({ hash }))).toEqual([404, "blob_not_found"]);
    const sent = await api.request("uploads", {
      method: "POST",
      body: bytes,
      headers: { ...own, "content-type": "image/png" },
    });
    expect(sent.status).toBe(201);
    expect([await isKnown(bytes), await isKnown(bytes, reader), await isKnown(bytes, other)]).toEqual([
      ...[true, true, false],
    ]);
    expect(await refusal(await fromHash({ hash }, other))).toEqual([404, "blob_not_found"]);
    const first = await fromHash({ hash, file_path: "a.png", tags: ["input"] });
    expect(first.status).toBe(201);
    const asset = (await first.json()) as Asset;
    expect(asset).toMatchObject({ hash, file_path: "a.png", created_new: false });
    // The same reference again is the same asset; with another path it is another.
    const again = await fromHash({
      hash: hash.toUpperCase().replace("BLAKE3", "blake3"),
      file_path: "a.png",
      tags: ["input"],
    });
    expect([again.status, ((await again.json()) as Asset).id]).toEqual([200, asset.id]);
    expect((await fromHash({ hash })).status).toBe(201);
    for (const no of [
      "blake3:12",
      hash.slice("blake3:".length),
      `sha256:${"0".repeat(64)}`,
      "blake3:a\u0000b",
    ])
      expect(await refusal(await fromHash({ hash: no }))).toEqual([404, "blob_not_found"]);
    expect(await refusal(await fromHash({}))).toEqual([422, "invalid_request"]);
  });

  test("has a bound of assets; beyond it an equal one is taken again", async () => {
    const bytes = await picture();
    const hash = await hashOf(bytes);
    const { id } = await made(formOf(bytes));
    await query(`INSERT INTO assets (id, tenant_id, upload_id, file_path, tags)
      SELECT gen_random_uuid(), tenant_id, upload_id, number::text, '{}'
      FROM assets, generate_series(2, ${assetsOfContentMax}) number WHERE id = '${id}'`);
    for (const refused of [
      await fromHash({ hash, file_path: "one more.png" }),
      await send(formOf(bytes, { file_path: "one more.png" })),
    ])
      expect([refused.status, await refused.json()]).toMatchObject([
        422,
        { error: { code: "invalid_request", details: { problems: [{ field: "file_path" }] } } },
      ]);
    expect(await made(formOf(bytes))).toMatchObject({ id, created_new: false });
    expect(await (await fromHash({ hash, file_path: "photo.png" })).json()).toMatchObject({ id });
    expect((await remove(id)).status).toBe(204);
    expect((await fromHash({ hash, file_path: "one more.png" })).status).toBe(201);
  });

  test("has no more records than its bound, with those whose time is over, which make room", async () => {
    const bytes = await picture();
    const hash = await hashOf(bytes);
    const { id } = await made(formOf(bytes));
    await query(`INSERT INTO assets (id, tenant_id, upload_id, file_path, tags, expires_at)
      SELECT gen_random_uuid(), tenant_id, upload_id, number::text, '{}', now()
      FROM assets, generate_series(2, ${assetsOfContentMax}) number WHERE id = '${id}'`);
    const count = async (): Promise<number> =>
      (await query(`SELECT FROM assets WHERE upload_id = (SELECT upload_id FROM assets WHERE id = '${id}')`))
        .length;
    expect(await count()).toBe(assetsOfContentMax);
    expect((await fromHash({ hash, file_path: "one more.png", expires_in: 60 })).status).toBe(201);
    expect(await count()).toBeLessThanOrEqual(assetsOfContentMax);
    expect((await send(formOf(bytes, { file_path: "another.png" }))).status).toBe(200);
    expect(await count()).toBeLessThanOrEqual(assetsOfContentMax);
    expect((await get(id)).status).toBe(200);
  });

  test("gets another record also if there are far more than its bound of which enough are over", async () => {
    const bytes = await picture();
    const hash = await hashOf(bytes);
    const { id } = await made(formOf(bytes));
    await query(`INSERT INTO assets (id, tenant_id, upload_id, file_path, tags, expires_at)
      SELECT gen_random_uuid(), tenant_id, upload_id, number::text, '{}', now()
      FROM assets, generate_series(2, ${assetsOfContentMax + 1_500}) number WHERE id = '${id}'`);
    expect((await fromHash({ hash, file_path: "one more.png" })).status).toBe(201);
  });

  test("is kept for as long as an asset wants it, and never shorter", async () => {
    const bytes = await picture();
    const hash = await hashOf(bytes);
    const asset = await made(formOf(bytes, { expires_in: "600" }));
    const left = (Date.parse(asset.expires_at!) - Date.now()) / 1_000;
    expect([left > 590, left <= 601]).toEqual([true, true]);
    const longer = (await (
      await fromHash({ hash, file_path: "photo.png", expires_in: 3_600 })
    ).json()) as Asset;
    expect(longer.id).toBe(asset.id);
    const shorter = (await (
      await fromHash({ hash, file_path: "photo.png", expires_in: 60 })
    ).json()) as Asset;
    expect(shorter).toMatchObject({ id: asset.id, expires_at: longer.expires_at });
    const keep = { from: {}, limit: 500, graceMs: 3_600_000, uploadsUnusedMs: 1 };
    await api.database.keeping.removeUnused(keep);
    expect((await get(asset.id)).status).toBe(200);
    await query(`UPDATE assets SET expires_at = now() WHERE id = '${asset.id}'`);
    expect(await refusal(await get(asset.id))).toEqual([404, "not_found"]);
    expect(await refusal(await remove(asset.id))).toEqual([404, "not_found"]);
    await api.database.keeping.removeUnused(keep);
    expect(await isKnown(bytes)).toBe(false);
  });
});

describe("an asset", () => {
  test("has its bytes, whole and in ranges", async () => {
    const bytes = await picture();
    const { id } = await made(formOf(bytes, { file_path: "models/../photo one.png" }));
    const whole = await get(`${id}/content`, reader);
    expect([whole.status, whole.headers.get("content-type")]).toEqual([200, "image/png"]);
    expect(whole.headers.get("content-disposition")).toContain('filename="photo one.png"');
    expect(Buffer.from(await whole.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true);
    const part = await get(`${id}/content`, { ...own, range: "bytes=4-7" });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, `bytes 4-7/${bytes.length}`]);
    expect(Buffer.from(await part.arrayBuffer()).equals(Buffer.from(bytes.slice(4, 8)))).toBe(true);
    const beyond = await get(`${id}/content`, { ...own, range: "bytes=99999999-" });
    expect(beyond.headers.get("content-range")).toBe(`bytes */${bytes.length}`);
    expect(await refusal(beyond)).toEqual([416, "range_not_satisfiable"]);
  });

  test("of another tenant, or of nobody, is answered as unknown", async () => {
    const { id } = await made(formOf(await picture()));
    const strange = "0190b8a0-0000-7000-8000-00000000dead";
    for (const path of [id, `${id}/content`]) {
      expect(await refusal(await get(path, other))).toEqual([404, "not_found"]);
      expect(await refusal(await get(path.replace(id, strange)))).toEqual([404, "not_found"]);
    }
    expect(await refusal(await remove(id, other))).toEqual([404, "not_found"]);
    expect(await refusal(await get("no-id"))).toEqual([404, "not_found"]);
    expect((await get(id)).status).toBe(200);
  });

  test("is removed once, and the content of others stays", async () => {
    const bytes = await picture();
    const [first, second] = [await made(formOf(bytes)), await made(formOf(bytes))];
    expect(await refusal(await remove(first.id, reader))).toEqual([403, "forbidden"]);
    expect((await remove(first.id)).status).toBe(204);
    expect(await refusal(await remove(first.id))).toEqual([404, "not_found"]);
    expect(await refusal(await get(first.id))).toEqual([404, "not_found"]);
    expect((await get(`${second.id}/content`)).status).toBe(200);
  });

  test("may be the output of a job, which is removed with the job only", async () => {
    const serverId = await api.worker.registerServer("http://gpu-1", await recordedDefinitions("core"));
    const bytes = await picture();
    const submitted = await api.post("generate", { type: "image", prompt: "a cat" }, own);
    const { id: jobId } = (await submitted.json()) as { id: string };
    const leased = await api.worker.claim(jobId, serverId);
    await api.worker.complete(leased, [{ filename: "a_00001_.png", body: Buffer.from(bytes) }], ["a text"]);
    const listed = await api.request(`jobs/${jobId}/outputs`, { headers: own });
    const { outputs } = (await listed.json()) as { outputs: { id: string }[] };
    const [image, text] = outputs.map(({ id }) => id);
    expect(await (await get(image!)).json()).toMatchObject({
      ...{ id: image, hash: null, size_bytes: bytes.length, content_type: "image/png" },
      ...{ file_path: "a_00001_.png", expires_at: null, job_id: jobId },
    });
    const content = await get(`${image!}/content`);
    expect(Buffer.from(await content.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true);
    expect(await (await get(`${text!}/content`)).text()).toBe("a text");
    expect(await refusal(await remove(image!))).toEqual([409, "asset_in_use"]);
    expect(await refusal(await get(image!, other))).toEqual([404, "not_found"]);
    expect(await refusal(await remove(image!, other))).toEqual([404, "not_found"]);
  });
});

describe("refusals", () => {
  test("have the envelope of the contract, also for what is not there", async () => {
    expect(await refusal(await api.request("/api/v2/assets/from-hash"))).toEqual([401, "unauthorized"]);
    expect(await refusal(await get("x", { authorization: "Bearer nobody" }))).toEqual([401, "unauthorized"]);
    expect(await refusal(await api.request("/api/v2/assets/from-hash", { headers: own }))).toEqual([
      ...[405, "method_not_allowed"],
    ]);
    expect(await refusal(await api.request("/API/V2/nothing", { headers: own }))).toEqual([404, "not_found"]);
    expect(await refusal(await send(formOf(await picture()), reader))).toEqual([403, "forbidden"]);
    const odd = await api.post("/api/v2/assets/from-hash", "{", own);
    expect(await refusal(odd)).toEqual([422, "invalid_request"]);
    // Nobody learns which paths there are without a key.
    expect(await refusal(await api.request("/api/v2/nothing"))).toEqual([401, "unauthorized"]);
  });
});
