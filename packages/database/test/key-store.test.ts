import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { migrate, openDatabase, type Database } from "@genga/database";
import { KeyNameTakenError, type Role } from "@genga/jobs";
import { createTestDatabase, type TestDatabase } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";

let scratch: TestDatabase;
let database: Database;
let client: pg.Client;
const by = { keyName: "tester", tenantId: null };
const hourMs = 3_600_000;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.close();
  await scratch.drop();
});

const add = (
  name: string,
  role: Role = "submit",
  tenantName = "studio",
): ReturnType<Database["keys"]["addKey"]> => database.keys.addKey({ tenantName, name, role }, by);
const roleOf = async (key: string): Promise<string | undefined> =>
  (await database.keys.findPrincipal(key))?.principal.role;
const query = async (sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
  (await client.query<Record<string, unknown>>(sql, values)).rows;

describe("The key store on PostgreSQL", () => {
  test("finds a key by its secret value, with its tenant, role and name", async () => {
    expect(await database.keys.hasKeys()).toBe(false);
    const { key, accessKey } = await add("one", "operate");
    expect(key).toMatch(/^genga_[\w-]{43}$/);
    expect(await database.keys.hasKeys()).toBe(true);
    expect(await database.keys.findPrincipal(key)).toEqual({
      principal: { tenant: accessKey.tenant, role: "operate", keyName: "one" },
      validForMs: null,
    });
    expect(accessKey.tenant.name).toBe("studio");
    for (const other of [`${key}x`, key.slice(0, -1), "", accessKey.id]) {
      expect(await database.keys.findPrincipal(other)).toBeNull();
    }
  });

  test("stores nothing that works as a key", async () => {
    const { key } = await add("secret");
    const rows = JSON.stringify([
      await query(
        "SELECT key::text, encode(secret.hash, 'escape') FROM access_keys key JOIN access_key_secrets secret ON key_id = id",
      ),
      await query("SELECT * FROM audit_events"),
    ]);
    expect(rows).not.toContain(key);
    expect(rows).not.toContain(key.slice("genga_".length));
    const hash = createHash("sha256").update(key).digest();
    expect(await query("SELECT 1 FROM access_key_secrets WHERE hash = $1", [hash])).toHaveLength(1);
  });

  test("gives a name to one key that works at a time, however many processes ask", async () => {
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, () => add("wanted", "read", "new-tenant")),
    );
    const made = tries.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const refused = tries.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
    expect(made).toHaveLength(1);
    for (const reason of refused) expect(reason).toBeInstanceOf(KeyNameTakenError);
    await database.keys.revokeKey(made[0]!.accessKey.id, by);
    await add("wanted", "read");
  });

  test("accepts both values of a rotated key until the overlap has ended", async () => {
    const { key, accessKey } = await add("rotated");
    const rotated = (await database.keys.rotateKey(accessKey.id, hourMs, by))!;
    expect(rotated.accessKey).toMatchObject({ id: accessKey.id, name: "rotated" });
    expect(rotated.accessKey.previousValidUntil!.getTime()).toBeGreaterThan(Date.now() + hourMs - 60_000);
    expect([await roleOf(key), await roleOf(rotated.key)]).toEqual(["submit", "submit"]);
    const { validForMs } = (await database.keys.findPrincipal(key))!;
    expect(validForMs).toBeGreaterThan(hourMs - 60_000);
    expect(validForMs).toBeLessThanOrEqual(hourMs);
    await query(
      "UPDATE access_key_secrets SET valid_until = now() - interval '1 second' WHERE valid_until IS NOT NULL",
    );
    expect([await roleOf(key), await roleOf(rotated.key)]).toEqual([undefined, "submit"]);
  });

  test("loses nothing when the answer to a rotation was lost and it is repeated", async () => {
    const { key, accessKey } = await add("answer-lost");
    await database.keys.rotateKey(accessKey.id, hourMs, by);
    const again = (await database.keys.rotateKey(accessKey.id, 2 * hourMs, by))!;
    expect([await roleOf(key), await roleOf(again.key)]).toEqual(["submit", "submit"]);
    // The first rotation's overlap holds: no later rotation makes its old value work for longer.
    expect((await database.keys.findPrincipal(key))!.validForMs).toBeLessThanOrEqual(hourMs);
  });

  test("ends all old values of a key at once when there is no overlap", async () => {
    const { key, accessKey } = await add("leaked");
    const second = (await database.keys.rotateKey(accessKey.id, hourMs, by))!;
    const third = (await database.keys.rotateKey(accessKey.id, 0, by))!;
    expect(await Promise.all([key, second.key, third.key].map(roleOf))).toEqual([
      undefined,
      undefined,
      "submit",
    ]);
  });

  test("rotations at the same time leave one value that goes on working, and others that work for their overlap", async () => {
    const { accessKey } = await add("raced");
    const told = await Promise.all(
      Array.from({ length: 5 }, () => database.keys.rotateKey(accessKey.id, hourMs, by)),
    );
    const found = await Promise.all(told.map((each) => database.keys.findPrincipal(each!.key)));
    expect(found.filter((each) => each!.validForMs === null)).toHaveLength(1);
    expect(found).not.toContain(null);
  });

  test("finds a revoked key by none of its values, and does not rotate it", async () => {
    const { key, accessKey } = await add("revoked");
    const rotated = (await database.keys.rotateKey(accessKey.id, hourMs, by))!;
    const { revokedAt } = (await database.keys.revokeKey(accessKey.id, by))!;
    expect(await Promise.all([key, rotated.key].map(roleOf))).toEqual([undefined, undefined]);
    expect(await database.keys.rotateKey(accessKey.id, hourMs, by)).toBeNull();
    expect((await database.keys.revokeKey(accessKey.id, by))!.revokedAt).toEqual(revokedAt);
    expect(await database.keys.hasKeys()).toBe(true);
    for (const id of ["x", uuidv7()]) {
      expect([await database.keys.revokeKey(id, by), await database.keys.rotateKey(id, 0, by)]).toEqual([
        null,
        null,
      ]);
    }
  });

  test("says which of many keys work, and records no use", async () => {
    const [working, revoked, rotated] = [await add("works"), await add("ended"), await add("turned over")];
    await database.keys.revokeKey(revoked.accessKey.id, by);
    const overlapping = (await database.keys.rotateKey(rotated.accessKey.id, hourMs, by))!;
    const sent = [working.key, revoked.key, rotated.key, overlapping.key, "of nobody", ""];
    const good = [working.key, rotated.key, overlapping.key];
    expect((await database.keys.findWorkingKeys(sent)).toSorted()).toEqual(good.toSorted());
    await query(
      "UPDATE access_key_secrets SET valid_until = now() - interval '1 second' WHERE key_id = $1 AND valid_until IS NOT NULL",
      [rotated.accessKey.id],
    );
    expect(await database.keys.findWorkingKeys([rotated.key, overlapping.key])).toEqual([overlapping.key]);
    expect(await database.keys.findWorkingKeys([])).toEqual([]);
    const used = await query("SELECT id FROM access_keys WHERE id = $1 AND last_used_at IS NOT NULL", [
      working.accessKey.id,
    ]);
    expect(used).toEqual([]);
  });

  test("records a key's use at most once a minute", async () => {
    const { key, accessKey } = await add("used");
    const lastUsedAt = async (): Promise<Date | null> =>
      (await database.keys.listKeys()).find(({ id }) => id === accessKey.id)!.lastUsedAt;
    expect(await lastUsedAt()).toBeNull();
    await database.keys.findPrincipal(key);
    const first = await lastUsedAt();
    expect(first).not.toBeNull();
    await database.keys.findPrincipal(key);
    expect(await lastUsedAt()).toEqual(first);
    await query("UPDATE access_keys SET last_used_at = now() - interval '2 minutes'");
    await database.keys.findPrincipal(key);
    expect((await lastUsedAt())!.getTime()).toBeGreaterThanOrEqual(first!.getTime());
  });

  test("records each change with the name of the key that made it", async () => {
    const { accessKey } = await add("watched", "read");
    await database.keys.rotateKey(accessKey.id, hourMs, by);
    await database.keys.revokeKey(accessKey.id, by);
    await database.keys.revokeKey(accessKey.id, by);
    const { items } = await database.audit.listEvents({ limit: 3 });
    const about = {
      keyName: "tester",
      keyTenantId: null,
      tenantId: accessKey.tenant.id,
      subject: accessKey.id,
    };
    expect(items).toMatchObject([
      { ...about, action: "key-revoked", details: { name: "watched" } },
      { ...about, action: "key-rotated", details: { name: "watched", overlapMs: hourMs } },
      { ...about, action: "key-added", details: { name: "watched", role: "read" } },
    ]);
  });

  test("removes copies of API_KEYS by earlier versions once they are a day old, and finds none by its value", async () => {
    const { id } = await database.tenants.defaultTenant();
    const insert = (age: string): Promise<unknown> =>
      query(
        "INSERT INTO api_keys (id, tenant_id, key_hash, created_at) VALUES (gen_random_uuid(), $1, sha256(convert_to($2, 'UTF8')), now() - $2::text::interval)",
        [id, age],
      );
    await insert("25 hours");
    await insert("23 hours");
    expect(await database.keys.findPrincipal("23 hours")).toBeNull();
    expect(await database.keys.removeCopies()).toBe(1);
    expect(await query("SELECT count(*)::int AS left FROM api_keys")).toEqual([{ left: 1 }]);
  });
});

describe("Audit events", () => {
  test("are read newest first, page by page, without a gap", async () => {
    const all = (await database.audit.listEvents({ limit: 1_000 })).items.map(({ id }) => id);
    const paged: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await database.audit.listEvents({ limit: 3, ...(cursor === undefined ? {} : { cursor }) });
      paged.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(paged).toEqual(all);
    expect(all.length).toBeGreaterThan(10);
  });
});
