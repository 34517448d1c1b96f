import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Database, migrate, openDatabase } from "@genga/database";
import { createTestDatabase } from "@genga/testing";

// Two workers name the same servers, and then not any more.

let database: Database;
let drop: () => Promise<void>;

beforeAll(async () => {
  const scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  drop = () => scratch.drop();
});
afterAll(async () => {
  await database.close();
  await drop();
});

const leaseMs = 60_000;
const remove = (): Promise<number> =>
  database.serverSources.removeUnnamed({ leaseMs, seenWithinMs: 3_600_000 });
const listed = async (): Promise<string[]> =>
  (await database.servers.listServers()).flatMap(({ url, isRemoved }) => (isRemoved ? [] : [url]));

test("a server that no source names any more is removed once the last worker has noticed, and no other one is", async () => {
  const { servers, serverSources } = database;
  const fromFile = { slots: 1, source: "file" as const };
  const known = await servers.registerServers([
    { url: "http://gone", ...fromFile },
    { url: "http://named", ...fromFile },
    { url: "http://owned", ...fromFile },
    { url: "http://setting", slots: 1 },
  ]);
  const [gone, named, owned] = known.map(({ id }) => id) as [string, string, string, string];
  await servers.renewWorker("one", [gone, named], leaseMs);
  await servers.renewWorker("two", [gone], leaseMs);
  const [lease] = await servers.acquireServers("one", [gone], 1, leaseMs);
  await servers.acquireServers("one", [owned], 1, leaseMs);

  // The first worker lets it go while the second has not noticed yet.
  await servers.renewWorker("one", [named], leaseMs);
  expect(await serverSources.letGoServer("one", lease!, leaseMs)).toBe(true);
  expect(await remove()).toBe(0);
  expect(await listed()).toContain("http://gone");
  // A worker that stopped may come back with the same file.
  await servers.stopWorker("two");
  expect(await remove()).toBe(0);
  await servers.renewWorker("two", [named], leaseMs);
  expect(await remove()).toBe(1);
  expect((await listed()).sort()).toEqual(["http://named", "http://owned", "http://setting"]);
});
