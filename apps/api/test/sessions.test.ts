import { createHash, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { GengaClient } from "@genga/client";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import sharp from "sharp";
import { askUntil } from "@genga/testing";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { openEvents, type EventReader } from "./event-source.ts";
import {
  operator,
  artist,
  times,
  configured,
  as,
  type Answer,
  send,
  pageOf,
  api,
  signIn,
  cookieOf,
} from "./session-requests.ts";

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

  test("do not count beside another one, which a page may have planted, unless by the name that no page can set", async () => {
    const [own, planted] = [await cookieOf(url, artist), await cookieOf(url, operator)];
    for (const both of [`${planted}; ${own}`, `${own}; ${planted}`]) {
      const answer = await send(api(url, "queue"), { headers: { cookie: both } });
      expect([answer.status, answer.json["code"]]).toEqual([401, "session-ended"]);
      expect(await statusOf(`${planted}; __Host-${own}`, "keys")).toBe(403);
    }
    // Signing in again ends both, and so helps.
    const again = await signIn(url, artist, { cookie: `${planted}; ${own}` });
    const fresh = again.headers["set-cookie"]![0]!.split(";")[0]!;
    expect(await statusOf(`${planted}; ${fresh}`)).toBe(200);
  });

  test("end with the sign-out, for this cookie alone, and are removed from the browser", async () => {
    const [cookie, other] = [await cookieOf(url, artist), await cookieOf(url, artist)];
    const answer = await send(api(url, "session"), { method: "DELETE", headers: pageOf(url, cookie) });
    expect([answer.status, answer.headers["set-cookie"]]).toEqual([
      204,
      ["genga_session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Strict"],
    ]);
    expect([await statusOf(cookie), await statusOf(other)]).toEqual([401, 200]);
    for (const headers of [pageOf(url, cookie), {}]) {
      expect((await send(api(url, "session"), { method: "DELETE", headers })).status).toBe(204);
    }
  });

  test("are listed for operators, who end them in every process, with their open streams and no others", async () => {
    const another = await studio.startAnother();
    const [boss, ending, going] = [
      ...[await cookieOf(url, operator), await cookieOf(url, artist), await cookieOf(url, artist)],
    ] as [string, string, string];
    const list = async (): Promise<Record<string, unknown>[]> =>
      (await send(api(url, "sessions"), { headers: { cookie: boss } })).json["sessions"] as never;
    const idOf = async (cookie: string): Promise<unknown> =>
      (await send(api(url, "session"), { headers: { cookie } })).json["id"];
    const id = await idOf(ending);
    const found = (await list()).find((each) => each["id"] === id);
    expect(found).toMatchObject({ tenant: "studio", keyName: "API_KEYS studio:submit", isOwn: false });
    expect((await list()).filter(({ isOwn }) => isOwn).map((each) => each["id"])).toEqual([await idOf(boss)]);

    const job = await studio.post("generate", { type: "image", prompt: "a" }, as(artist));
    const { id: jobId } = (await job.json()) as { id: string };
    const watch = async (base: string, cookie: string): Promise<EventReader> => {
      const stream = await openEvents(api(base, `jobs/${jobId}/events`), { cookie });
      expect((await stream.next())?.event).toBe("snapshot");
      return stream;
    };
    const ended = [await watch(url, ending), await watch(another.url, ending)];
    const others = [await watch(url, going), await watch(another.url, going)];
    const end = (): Promise<Answer> =>
      send(api(url, `sessions/${String(id)}`), { method: "DELETE", headers: pageOf(url, boss) });
    expect([(await end()).status, (await end()).status]).toEqual([204, 404]);
    for (const stream of ended) {
      expect(await stream.rest()).toMatchObject([{ event: "closed", data: { reason: "key-not-valid" } }]);
    }
    expect(await statusOf(ending)).toBe(401);
    await askUntil(
      () => send(api(another.url, "queue"), { headers: { cookie: ending } }),
      ({ status }) => status === 401,
    );
    await studio.post(`jobs/${jobId}/cancel`, {}, as(artist));
    for (const stream of others) {
      expect((await stream.rest()).map(({ data }) => data["type"])).toEqual(["cancelled"]);
    }
    const events = (await send(api(url, "audit-events?limit=200"), { headers: { cookie: boss } })).json;
    const about = (events["events"] as { action: string; subject: string; key: { name: string } }[])
      .filter(({ subject }) => subject === id)
      .map(({ action, key }) => [action, key.name]);
    expect(about).toEqual([
      ["session-ended", "API_KEYS studio:operate"],
      ["signed-in", "API_KEYS studio:submit"],
    ]);
  });

  test("end with their key: revoked, rotated beyond its overlap, or no longer in API_KEYS", async () => {
    const [revoked, rotated] = [await makeKey("revoked"), await makeKey("rotated")];
    const [first, second] = [await cookieOf(url, revoked.key), await cookieOf(url, rotated.key)];
    // A use of the session is one of its key.
    const ago = "last_used_at = now() - interval '6 days'";
    await query(`UPDATE sessions SET ${ago} WHERE key_name = 'revoked'`);
    await query(`UPDATE access_keys SET ${ago} WHERE name = 'revoked'`);
    expect(await statusOf(first)).toBe(200);
    const isNoted = "last_used_at > now() - interval '1 minute' AS noted";
    expect(await query(`SELECT ${isNoted} FROM access_keys WHERE name = 'revoked'`)).toEqual([
      { noted: true },
    ]);
    const without = await studio.startAnother({ API_KEYS: `studio:operate:${operator}` });
    const raised = await studio.startAnother({
      API_KEYS: `studio:operate:${operator},atelier:read:${artist}`,
    });
    const third = await cookieOf(url, artist);
    const statusAt = async (base: string): Promise<number> =>
      (await send(api(base, "queue"), { headers: { cookie: third } })).status;
    expect([await statusAt(url), await statusAt(without.url)]).toEqual([200, 401]);
    // What a session may do is what its key may do now.
    const now = await send(api(raised.url, "session"), { headers: { cookie: third } });
    expect(now.json).toMatchObject({ tenant: "atelier", role: "read", keyName: "API_KEYS atelier:read" });
    const listedBy = async (base: string): Promise<string> =>
      (await send(api(base, "sessions"), { headers: as(operator) })).text;
    expect(await listedBy(url)).toContain("API_KEYS studio:submit");
    expect(await listedBy(without.url)).not.toContain("API_KEYS studio:submit");

    await studio.post(`keys/${rotated.id}/rotate`, { overlapMinutes: 60 }, as(operator));
    expect([await statusOf(first), await statusOf(second)]).toEqual([200, 200]);
    await studio.request(`keys/${revoked.id}`, { method: "DELETE", headers: as(operator) });
    await studio.post(`keys/${rotated.id}/rotate`, { overlapMinutes: 0 }, as(operator));
    expect([await statusOf(first), await statusOf(second)]).toEqual([401, 401]);
    expect(await listedBy(url)).not.toContain("rotated");
  });

  test("end when they are not used, or after their whole time, and then their rows go", async () => {
    const [used, idle, old] = [
      ...[await cookieOf(url, artist), await cookieOf(url, artist), await cookieOf(url, artist)],
    ] as [string, string, string];
    const hashOf = (cookie: string): string =>
      createHash("sha256").update(cookie.split("=")[1]!).digest("hex");
    const change = (cookie: string, columns: string): Promise<unknown> =>
      query(`UPDATE sessions SET ${columns} WHERE token_hash = '\\x${hashOf(cookie)}'`);
    const ago = "last_used_at = now() - interval '6 days'";
    await change(used, `${ago}, idle_until = now() + interval '1 day'`);
    await change(idle, `${ago}, idle_until = now()`);
    await change(old, `${ago}, idle_until = now() + interval '60 s', expires_at = now() + interval '60 s'`);
    await pause(2 * times.keys.rememberMs); // so long a session is remembered
    expect([await statusOf(used), await statusOf(idle), await statusOf(old)]).toEqual([200, 401, 200]);
    const [row] = await query(
      `SELECT last_used_at > now() - interval '1 minute' AS "isNoted", idle_until > now() + interval '6 days' AS "goesOn"
       FROM sessions WHERE token_hash = '\\x${hashOf(used)}'`,
    );
    expect(row).toEqual({ isNoted: true, goesOn: true });
    await change(old, "idle_until = now(), expires_at = now()");
    await askUntil(
      () => statusOf(old),
      (status) => status !== 200,
    );
    await studio.database.keeping.removeEndedSessions(100);
    const left = await query("SELECT encode(token_hash, 'hex') AS hash FROM sessions");
    const hashes = left.map(({ hash }) => hash);
    expect(hashes).toContain(hashOf(used));
    for (const ended of [idle, old]) expect(hashes).not.toContain(hashOf(ended));
  });

  test("have cookies for the address at which the browser sees the API, and only over TLS off this machine", async () => {
    const { url: studioUrl } = await studio.startAnother({ PUBLIC_URL: "https://genga.example/studio" });
    const attributesOf = async (base: string, headers: Record<string, string>): Promise<string> => {
      const [set = ""] = (await signIn(base, artist, headers)).headers["set-cookie"] ?? [];
      const hasHostName = set.startsWith("__Host-genga_session=");
      expect(hasHostName).toBe(set.includes("Path=/;") && set.includes("; Secure"));
      return /Path=[^;]+/.exec(set)![0] + (set.includes("; Secure") ? " Secure" : "");
    };
    const { host } = new URL(url);
    const proxied = { "x-forwarded-host": "genga.example", "x-forwarded-proto": "https" };
    for (const [base, headers, expected] of [
      [url, {}, "Path=/"],
      [
        url,
        { host: host.replace("127.0.0.1", "localhost"), origin: `http://localhost:${new URL(url).port}` },
        "Path=/",
      ],
      [url, { host: "genga.example", origin: "http://genga.example" }, "Path=/ Secure"],
      [url, { ...proxied, origin: "https://genga.example" }, "Path=/ Secure"],
      [url, { "x-forwarded-proto": "https", origin: `https://${host}` }, "Path=/ Secure"],
      [studioUrl, {}, "Path=/"],
      [studioUrl, { origin: "https://genga.example" }, "Path=/studio Secure"],
    ] as const) {
      expect([base, headers, await attributesOf(base, headers)]).toEqual([base, headers, expected]);
    }
    const cookie = await cookieOf(studioUrl, artist);
    const cancel = (origin: string): Promise<Answer> =>
      send(api(studioUrl, "jobs/x/cancel"), { method: "POST", headers: { ...pageOf(url, cookie), origin } });
    expect((await cancel("https://genga.example")).status).toBe(404);
    for (const origin of [
      "http://genga.example",
      "https://genga.example:444",
      "https://studio.genga.example",
    ]) {
      expect([origin, (await cancel(origin)).status]).toEqual([origin, 403]);
    }
    const board = await send(new URL("/admin/queues", studioUrl).href, { headers: { accept: "text/html" } });
    expect(board.headers.location).toBe("/studio/sign-in?next=/admin/queues");
  });

  test("let people without a key sign in before they see Bull Board", async () => {
    const at = (path: string, headers: Record<string, string>): Promise<Answer> =>
      send(new URL(path, url).href, { headers });
    const page = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
    for (const cookie of ["", madeUp()]) {
      const { status, headers } = await at("/admin/queues/queue/default?status=x", { ...page, cookie });
      expect([status, headers.location, headers["www-authenticate"]]).toEqual([
        ...[303, "/sign-in?next=/admin/queues/queue/default%3Fstatus%3Dx", undefined],
      ]);
    }
    const basic = (key: string): Record<string, string> => ({
      authorization: `Basic ${Buffer.from(`anybody:${key}`).toString("base64")}`,
    });
    expect((await at("/admin/queues", { ...page, ...basic(operator) })).status).toBe(200);
    expect((await at("/admin/queues", { ...page, ...basic("a-key-of-nobody") })).status).toBe(401);
    expect((await at("/admin/queues", { ...page, cookie: await cookieOf(url, operator) })).status).toBe(200);
    expect((await at("/admin/queues", { ...page, cookie: await cookieOf(url, artist) })).status).toBe(403);
    // Scripts of the page are not asked for a password, which a browser would show to the person.
    const script = { accept: "*/*", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" };
    for (const headers of [script, { cookie: madeUp() }]) {
      const { status, headers: answered } = await at("/admin/queues/api/queues", headers);
      expect([status, answered["www-authenticate"]]).toEqual([401, 'Bearer realm="genga"']);
    }
    expect((await at("/admin/queues", { accept: "*/*" })).headers["www-authenticate"]).toBe(
      'Basic realm="genga"',
    );
    expect((await at("/metrics", page)).status).toBe(401);
    // A browser would not keep the cookie of a sign-in there.
    const plain = await at("/admin/queues", { ...page, host: "genga.example" });
    expect([plain.status, plain.headers["www-authenticate"]]).toEqual([401, 'Basic realm="genga"']);
  });

  test("serve the typed client in place of a key, for requests, streams, downloads and uploads", async () => {
    const { origin } = new URL(url);
    const cookie = await cookieOf(url, artist);
    const genga = new GengaClient({ baseUrl: url, headers: { cookie, origin, "X-Genga-Page": "1" } });
    const picture = await sharp({ create: { width: 64, height: 64, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    const upload = await genga.upload(new Uint8Array(picture), { mediaType: "image/png" });
    expect(upload.id).toMatch(/^[0-9a-f-]{36}$/);
    const job = await genga.submit({ type: "image", prompt: "a cat" });
    const following = genga.events()[Symbol.asyncIterator]();
    expect((await following.next()).value).toMatchObject({ kind: "snapshot" });
    const [server] = await studio.database.servers.registerServers([{ url: "http://gpu-1:8188", slots: 1 }]);
    const body = Buffer.from("a picture");
    await studio.worker.complete(await studio.worker.claim(job.id, server!.id), [
      { filename: "a.bin", body },
    ]);
    const [output] = await genga.outputs(job.id);
    const content = await genga.download(output!);
    expect(await new Response(content.body).text()).toBe("a picture");
    await following.return();
    const stranger = new GengaClient({ baseUrl: url, headers: { cookie } });
    await expect(stranger.submit({ type: "image", prompt: "a dog" })).rejects.toMatchObject({ status: 403 });
  });
});

test("wrong keys are held up at the sign-in as elsewhere, and bodies must be small", async () => {
  const studio = await startApiUnderTest({ env: { API_KEYS: configured, WRONG_KEYS_PER_MINUTE: "3" } });
  try {
    const [own, stale] = [await cookieOf(studio.url, artist), madeUp()];
    const codeOf = async (answer: Promise<Answer>): Promise<unknown> => (await answer).json["code"];
    for (const guess of ["guess-1", "guess-2", "guess-3"]) {
      expect(await codeOf(signIn(studio.url, guess))).toBe("key-unknown");
    }
    // One in a second is checked all the same.
    const guesses = Array.from({ length: 8 }, (_, index) => `guess-${index + 4}`);
    expect(await Promise.all(guesses.map((guess) => codeOf(signIn(studio.url, guess))))).toContain(
      "too-many-wrong-keys",
    );
    // Nor does asking who one is tell whether a guess is right.
    const asked = guesses.map((guess) => codeOf(send(api(studio.url, "session"), { headers: as(guess) })));
    expect(await Promise.all(asked)).toContain("too-many-wrong-keys");

    // Nobody can guess a token, but each that is looked up costs a query. One that was found to be unknown costs none.
    const statusOf = async (cookie: string): Promise<number> =>
      (await send(api(studio.url, "queue"), { headers: { cookie } })).status;
    expect(await statusOf(stale)).toBe(401);
    const lookUp = (): Promise<number[]> => Promise.all(Array.from({ length: 20 }, () => statusOf(madeUp())));
    expect(await lookUp()).toEqual(Array(20).fill(401));
    await lookUp();
    expect(await lookUp()).toContain(429);
    expect([await statusOf(stale), await statusOf(own), await statusOf(`${madeUp()}; ${own}`)]).toEqual([
      ...[401, 200, 200],
    ]);
    const large = await studio.post("session", { apiKey: "x".repeat(5_000) });
    expect([large.status, await large.json()]).toMatchObject([413, { code: "body-too-large" }]);
  } finally {
    await studio.stop();
  }
});

test("without keys nobody signs in, and everybody on this machine is told so", async () => {
  const studio = await startApiUnderTest();
  try {
    const everybody = { id: null, tenant: "default", role: "operate", needsKey: false, expiresAt: null };
    const cookie = madeUp();
    for (const headers of [{}, { cookie }]) {
      expect((await send(api(studio.url, "session"), { headers })).json).toMatchObject(everybody);
    }
    const answer = await signIn(studio.url, "anything");
    expect([answer.status, answer.json, answer.headers["set-cookie"]]).toMatchObject([
      200,
      everybody,
      undefined,
    ]);
    // The cookie of an earlier installation at this address does no harm.
    const job = JSON.stringify({ type: "image", prompt: "a cat" });
    const headers = { "content-type": "application/json", cookie };
    expect((await send(api(studio.url, "generate"), { method: "POST", headers, body: job })).status).toBe(
      202,
    );
    expect(
      (await send(new URL("/admin/queues", studio.url).href, { headers: { accept: "text/html" } })).status,
    ).toBe(200);
  } finally {
    await studio.stop();
  }
});

/** The cookie of a session that nobody opened. */
function madeUp(): string {
  return `genga_session=${randomBytes(32).toString("base64url")}`;
}
