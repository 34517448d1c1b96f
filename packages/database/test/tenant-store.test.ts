import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { defaultTenantId } from "@genga/database";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;

beforeAll(async () => {
  stores = await openTestStores();
});
afterAll(async () => {
  await stores.close();
});

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe("The tenant store on PostgreSQL", () => {
  test("has a default tenant from the start", async () => {
    expect(await stores.tenants.defaultTenant()).toEqual({ id: defaultTenantId, name: "default" });
  });

  test("makes tenants and keys once, however many processes start together", async () => {
    const keys = [
      { tenant: "studio", key: "studio-key-one" },
      { tenant: "studio", key: "studio-key-two" },
      { tenant: "default", key: "a-key-of-the-default-tenant" },
      { tenant: "atelier", key: "atelier-key" },
    ];
    const orders = [keys, keys.toReversed(), keys, keys.toReversed()];
    await Promise.all(orders.map((order) => stores.tenants.ensureApiKeys(order)));
    expect(await query("SELECT name FROM tenants ORDER BY name")).toEqual([
      { name: "atelier" },
      { name: "default" },
      { name: "studio" },
    ]);
    expect(await query("SELECT count(*)::int FROM api_keys")).toEqual([{ count: 4 }]);
    const found = await Promise.all(keys.map(({ key }) => stores.tenants.findTenantByKey(key)));
    expect(found.map((tenant) => tenant?.name)).toEqual(keys.map(({ tenant }) => tenant));
    expect(found[2]?.id).toBe(defaultTenantId);
  });

  test("keeps no key in clear", async () => {
    await stores.tenants.ensureApiKeys([{ tenant: "studio", key: "very-secret-key" }]);
    const stored = JSON.stringify(
      await query("SELECT api_keys::text, encode(key_hash, 'escape') FROM api_keys"),
    );
    expect(stored).not.toContain("very-secret-key");
    expect(stored).not.toContain(Buffer.from("very-secret-key").toString("hex"));
  });

  test("knows no tenant for an unknown or revoked key, and does not bring a revoked one back", async () => {
    expect(await stores.tenants.findTenantByKey("nobody's")).toBeNull();
    const key = "to-be-revoked";
    await stores.tenants.ensureApiKeys([{ tenant: "studio", key }]);
    await query("UPDATE api_keys SET revoked_at = now() WHERE key_hash = sha256('to-be-revoked')");
    await stores.tenants.ensureApiKeys([{ tenant: "studio", key }]);
    expect(await stores.tenants.findTenantByKey(key)).toBeNull();
  });

  test("lets a key follow to another tenant", async () => {
    await stores.tenants.ensureApiKeys([{ tenant: "studio", key: "moving-key" }]);
    await stores.tenants.ensureApiKeys([{ tenant: "atelier", key: "moving-key" }]);
    expect(await stores.tenants.findTenantByKey("moving-key")).toMatchObject({ name: "atelier" });
  });
});
