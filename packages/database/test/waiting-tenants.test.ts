import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { buildJob } from "@genga/testing";
import { v7 as uuidv7 } from "uuid";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;

beforeAll(async () => {
  stores = await openTestStores();
});

afterAll(async () => {
  await stores.close();
});

test("tenants with queued jobs are listed with exact counts, those with the most first", async () => {
  expect(await stores.jobReader.listWaitingTenants(10)).toEqual([]);
  const tenants = await stores.tenants.ensureTenants(["flood", "idle", "small"]);
  const ids = new Map(tenants.map(({ name, id }) => [name, id]));
  for (const [name, count] of [
    ["flood", 1_200],
    ["small", 2],
  ] as const) {
    const jobs = Array.from({ length: count }, () => buildJob());
    await stores.jobRequests.insertJobs({
      tenantId: ids.get(name)!,
      batch: { id: uuidv7(), name: null },
      jobs,
    });
  }
  const [flood, small] = [
    { tenant: "flood", queued: 1_200, processing: 0 },
    { tenant: "small", queued: 2, processing: 0 },
  ];
  expect(await stores.jobReader.listWaitingTenants(10)).toEqual([flood, small]);
  expect(await stores.jobReader.listWaitingTenants(1)).toEqual([flood]);
});
