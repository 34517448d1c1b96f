import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { defaultTenantId } from "@genga/database";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;

beforeAll(async () => {
  stores = await openTestStores();
});
afterAll(async () => {
  await stores.close();
});

describe("The tenant store on PostgreSQL", () => {
  test("has a default tenant from the start", async () => {
    expect(await stores.tenants.defaultTenant()).toEqual({ id: defaultTenantId, name: "default" });
  });

  test("creates each tenant once, however many processes start together", async () => {
    const names = ["studio", "default", "atelier", "studio"];
    const orders = [names, names.toReversed(), names, names.toReversed()];
    const made = await Promise.all(orders.map((order) => stores.tenants.ensureTenants(order)));
    for (const [index, tenants] of made.entries()) {
      expect(tenants.map(({ name }) => name)).toEqual(orders[index]);
    }
    expect(new Set(made.flat().map(({ id }) => id)).size).toBe(3);
    expect(made[0]![1]).toEqual({ id: defaultTenantId, name: "default" });
  });

  test("creates none for an empty list", async () => {
    expect(await stores.tenants.ensureTenants([])).toEqual([]);
  });
});
