import { randomBytes } from "node:crypto";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const operator = "key-that-operates";
const artist = "key-that-submits";
const times = { keys: { rememberMs: 20, checkEveryMs: 20 }, streamKeysEveryMs: 20 };
const configured = `studio:operate:${operator},studio:submit:${artist}`;
const as = (key: string): Record<string, string> => ({ "x-api-key": key });

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: Record<string, unknown>;
}

/** Sends any header, also those that `fetch` sets itself. */
async function send(
  url: string,
  {
    method = "GET",
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        const isJson = (response.headers["content-type"] ?? "").includes("json");
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
        });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** What our own page sends at this API. */
const pageOf = (url: string, cookie: string): Record<string, string> => ({
  ...{ cookie, origin: new URL(url).origin, "x-genga-page": "1", "sec-fetch-site": "same-origin" },
  "content-type": "application/json",
});
const api = (url: string, path: string): string => new URL(`/api/anime/${path}`, url).href;

function signIn(url: string, apiKey: string, headers: Record<string, string> = {}): Promise<Answer> {
  return send(api(url, "session"), {
    method: "POST",
    headers: { "content-type": "application/json", origin: new URL(url).origin, ...headers },
    body: JSON.stringify({ apiKey }),
  });
}

/** Signs in, and returns the cookie as a browser sends it back. */
async function cookieOf(url: string, apiKey: string): Promise<string> {
  const answer = await signIn(url, apiKey);
  expect(answer.status).toBe(201);
  return answer.headers["set-cookie"]![0]!.split(";")[0]!;
}

describe("sessions", () => {
  let studio: ApiUnderTest;
  let url: string;
  beforeAll(async () => {
    studio = await startApiUnderTest({ env: { API_KEYS: configured, TRUSTED_PROXIES: "loopback" }, times });
    ({ url } = studio);
  });
  afterAll(() => studio.stop());

  const query = async (sql: string): Promise<Record<string, unknown>[]> => {
    const client = new pg.Client({ connectionString: studio.env["DATABASE_URL"] });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  };
  const statusOf = async (cookie: string, path = "queue"): Promise<number> =>
    (await send(api(url, path), { headers: { cookie } })).status;
  const makeKey = async (name: string, role = "submit"): Promise<{ id: string; key: string }> => {
    const response = await studio.post("keys", { name, tenant: "studio", role }, as(operator));
    return (await response.json()) as { id: string; key: string };
  };

  test("begin with a key, whose tenant, role and name they have, and are told to nobody else", async () => {
    const { key } = await makeKey("render node", "read");
    for (const [sent, role, keyName] of [
      [artist, "submit", "API_KEYS studio:submit"],
      [key, "read", "render node"],
    ] as const) {
      const answer = await signIn(url, sent);
      expect(answer.status).toBe(201);
      expect(answer.json).toMatchObject({ tenant: "studio", role, keyName, needsKey: true });
      const [set] = answer.headers["set-cookie"]!;
      expect(set).toMatch(
        /^genga_session=[\w-]{43}; Max-Age=25(92000|91\d\d\d); Path=\/; Expires=[^;]+; HttpOnly; SameSite=Strict$/,
      );
      const cookie = set!.split(";")[0]!;
      const who = await send(api(url, "session"), { headers: { cookie } });
      expect(who.json).toEqual(answer.json);
      // Nothing that is kept or logged could be sent in its place, and neither could the key.
      const token = cookie.split("=")[1]!;
      const kept = JSON.stringify(await query("SELECT session::text FROM sessions session"));
      for (const text of [answer.text, kept, studio.logged.join()]) {
        expect(text).not.toContain(token);
        expect(text).not.toContain(sent);
      }
      expect(kept).not.toContain(Buffer.from(token).toString("hex"));
    }
  });

  test("count in place of a key, and are asked for without ever being refused", async () => {
    const [plain, operates] = [await cookieOf(url, artist), await cookieOf(url, operator)];
    expect([await statusOf(plain), await statusOf(plain, "keys"), await statusOf(operates, "keys")]).toEqual([
      ...[200, 403, 200],
    ]);
    for (const [path, cookie, status] of [
      ["/metrics", plain, 403],
      ["/metrics", operates, 200],
      ["/admin/queues/api/queues", plain, 403],
      ["/admin/queues/api/queues", operates, 200],
    ] as const) {
      const answer = await send(new URL(path, url).href, { headers: { cookie } });
      expect([path, answer.status]).toEqual([path, status]);
    }
    const health = await send(api(url, "health"), { headers: { cookie: operates } });
    expect(health.json["parts"]).toMatchObject({ servers: { detail: expect.any(String) } });

    const nobody = { id: null, tenant: null, role: null, keyName: null, createdAt: null, expiresAt: null };
    for (const headers of [{}, { cookie: "genga_session=x" }, as("a-key-of-nobody"), { cookie: madeUp() }]) {
      const { status, json } = await send(api(url, "session"), { headers });
      expect([status, json]).toEqual([200, { ...nobody, needsKey: true }]);
    }
    const byKey = await send(api(url, "session"), { headers: as(artist) });
    const sender = { tenant: "studio", role: "submit", keyName: "API_KEYS studio:submit", needsKey: true };
    expect(byKey.json).toEqual({ ...nobody, ...sender });
  });

  test("yield to a key that is sent beside them", async () => {
    const cookie = await cookieOf(url, operator);
    const statusWith = async (key: string): Promise<number> =>
      (await send(api(url, "keys"), { headers: { cookie, ...as(key) } })).status;
    expect([await statusWith("a-key-of-nobody"), await statusWith(artist)]).toEqual([401, 403]);
    // It needs no page, since no page of another origin could send the key.
    const job = { method: "POST", headers: { ...as(artist), cookie, "content-type": "application/json" } };
    const sent = await send(api(url, "generate"), {
      ...job,
      body: JSON.stringify({ type: "image", prompt: "a" }),
    });
    expect(sent.status).toBe(202);
  });

  test("change something only for our own pages", async () => {
    const cookie = await cookieOf(url, artist);
    const { origin, hostname } = new URL(url);
    const good = pageOf(url, cookie);
    const body = JSON.stringify({ type: "image", prompt: "a cat" });
    const without = (name: string): Record<string, string> =>
      Object.fromEntries(Object.entries(good).filter(([each]) => each !== name));
    const refused: Record<string, string>[] = [
      without("origin"),
      without("x-genga-page"),
      { ...good, origin: "null" },
      { ...good, origin: `http://${hostname}:1` },
      { ...good, origin: origin.replace("http:", "https:") },
      { ...good, origin: "https://evil.example" },
      { ...good, "sec-fetch-site": "same-site" },
      { ...good, "sec-fetch-site": "cross-site" },
      { ...good, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
      { ...good, "x-genga-page": "0" },
    ];
    for (const headers of refused) {
      const answer = await send(api(url, "generate"), { method: "POST", headers, body });
      expect([headers, answer.status, answer.json["code"]]).toEqual([headers, 403, "origin-not-allowed"]);
    }
    // A form of another page can send only these; the browser adds the cookie where the page is of the same site.
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
    ]) {
      const form = { cookie, origin: `http://${hostname}:1`, "content-type": type };
      expect((await send(api(url, "generate"), { method: "POST", headers: form, body })).status).toBe(403);
    }
    expect((await send(api(url, "jobs"), { headers: as(artist) })).text).not.toContain("a cat");
    const sent = await send(api(url, "generate"), { method: "POST", headers: good, body });
    expect(sent.status).toBe(202);
    const cancelled = await send(api(url, `jobs/${String(sent.json["id"])}/cancel`), {
      method: "POST",
      headers: good,
    });
    expect(cancelled.status).toBe(202);
  });

  test("give nothing to pages of other origins", async () => {
    const cookie = await cookieOf(url, artist);
    const fetched = { cookie, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" };
    const followed = { cookie, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    for (const [headers, status] of [
      [{ ...fetched, "sec-fetch-site": "same-origin" }, 200],
      [{ ...fetched, "sec-fetch-site": "same-site" }, 401],
      [{ ...fetched, "sec-fetch-site": "cross-site" }, 401],
      [{ ...fetched, origin: "https://evil.example" }, 401],
      [{ ...followed, "sec-fetch-site": "same-site" }, 200],
      [{ ...followed, "sec-fetch-site": "same-site", "sec-fetch-dest": "iframe" }, 401],
    ] as const) {
      const answer = await send(api(url, "queue"), { headers });
      expect([headers, answer.status]).toEqual([headers, status]);
      expect(answer.headers["access-control-allow-credentials"]).toBeUndefined();
    }
    const who = await send(api(url, "session"), { headers: { ...fetched, "sec-fetch-site": "same-site" } });
    expect(who.json).toMatchObject({ role: null });
  });

  test("are opened and closed by our own pages alone, also where CORS_ORIGINS names others", async () => {
    const friend = "https://friend.example";
    const { url: open } = await studio.startAnother({ CORS_ORIGINS: friend });
    for (const headers of [{ origin: friend }, { origin: "null" }, { "sec-fetch-site": "same-site" }]) {
      const answer = await signIn(open, artist, headers);
      expect([headers, answer.status, answer.headers["set-cookie"]]).toEqual([headers, 403, undefined]);
    }
    const cookie = await cookieOf(open, artist);
    const read = await send(api(open, "queue"), { headers: { cookie, origin: friend } });
    expect([read.status, read.headers["access-control-allow-credentials"]]).toEqual([401, undefined]);
    const write = await send(api(open, "jobs/x/cancel"), {
      method: "POST",
      headers: { ...pageOf(open, cookie), origin: friend },
    });
    expect(write.status).toBe(403);
    for (const headers of [{ cookie }, { ...pageOf(open, cookie), origin: friend }]) {
      expect((await send(api(open, "session"), { method: "DELETE", headers })).status).toBe(403);
    }
    expect(await statusOf(cookie)).toBe(200);
  });

  test("have tokens that nobody else chooses", async () => {
    const planted = madeUp();
    expect(await statusOf(planted)).toBe(401);
    const first = await signIn(url, artist, { cookie: planted });
    const own = first.headers["set-cookie"]![0]!.split(";")[0]!;
    expect(own).not.toBe(planted);
    expect([await statusOf(planted), await statusOf(own)]).toEqual([401, 200]);
    // Whoever signs in again leaves no session behind that nobody can end.
    const second = await signIn(url, artist, { cookie: own });
    expect(second.json["id"]).not.toBe(first.json["id"]);
    expect(await statusOf(own)).toBe(401);
  });

  test("are found among the cookies of other paths and installations", async () => {
    const cookie = await cookieOf(url, artist);
    for (const cookies of [
      `${madeUp()}; ${cookie}`,
      `${cookie}; ${madeUp()}`,
      `theme=dark; genga_session=; ${cookie}; other=genga_session=x`,
    ]) {
      expect([cookies, await statusOf(cookies)]).toEqual([cookies, 200]);
    }
    const many = Array.from({ length: 20 }, madeUp).join("; ");
    expect(await statusOf(`${many}; ${cookie}`)).toBe(401);
    expect(await statusOf(`xgenga_session=${cookie.split("=")[1]!}`)).toBe(401);
  });
});

/** The cookie of a session that nobody opened. */
function madeUp(): string {
  return `genga_session=${randomBytes(32).toString("base64url")}`;
}
