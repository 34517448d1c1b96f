import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

const minuteMs = 60_000;

test("a stopped worker of an earlier version stays known with its servers, and is alive again when it comes back", async () => {
  const [server] = await stores.servers.registerServers([{ url: "http://zone-1:8188", slots: 1 }]);
  const serverIds = [server!.id];
  // The statements with which such a process reports that it is alive, and that it stops.
  const renew = `INSERT INTO workers (id, server_ids) VALUES ('old', $1)
    ON CONFLICT (id) DO UPDATE SET last_seen_at = clock_timestamp(), server_ids = excluded.server_ids`;
  await client.query(renew, [serverIds]);
  await client.query("DELETE FROM workers WHERE id = 'old'");
  expect(await stores.servers.listRecentWorkers(minuteMs, minuteMs)).toMatchObject([
    { id: "old", serverIds, isAlive: false },
  ]);

  await client.query(renew, [serverIds]);
  expect(await stores.servers.listRecentWorkers(minuteMs, minuteMs)).toMatchObject([
    { id: "old", serverIds, isAlive: true },
  ]);
});

test("a worker that was not seen for long is forgotten", async () => {
  await client.query("INSERT INTO workers (id, last_seen_at) VALUES ('gone', now() - interval '2 days')");
  await stores.servers.renewWorker("new", [], minuteMs);
  const { rows } = await client.query("SELECT FROM workers WHERE id = 'gone'");
  expect(rows).toEqual([]);
});
