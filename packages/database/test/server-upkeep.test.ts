import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ServerLease, type UpkeepRecord } from "@genga/jobs";
import { createTestDatabase, type TestDatabase } from "@genga/testing";
import { v7 as uuidv7 } from "uuid";
import { migrate, openDatabase, type Database } from "@genga/database";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: testDatabase.url });
}, 180_000);

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const by = { keyName: "operator", tenantId: null };

async function ownedServer(): Promise<ServerLease> {
  const [server] = await database.servers.registerServers([{ url: `http://${uuidv7()}:8188`, slots: 2 }]);
  const [lease] = await database.servers.acquireServers("worker-a", [server!.id], 1, 60_000);
  return lease!;
}

async function upkeepOf({ serverId }: ServerLease): Promise<UpkeepRecord | undefined> {
  return (await database.serverUpkeep.listUpkeep([serverId]))[0];
}

test("a recycling is noted from its wish to its end, and what was asked for first is the reason", async () => {
  const { serverUpkeep: upkeep } = database;
  const lease = await ownedServer();
  expect(await upkeepOf(lease)).toBeUndefined();
  expect(await upkeep.notePrompts(lease, 2)).toBe(true);
  expect(await upkeep.notePrompts(lease, 3)).toBe(true);
  expect(await upkeepOf(lease)).toMatchObject({ promptsRun: 5, recycleReason: null, last: null });
  expect(await upkeep.askRecycle(lease.serverId, by)).toBe(true);
  expect(await upkeep.askRecycle(lease.serverId, by)).toBe(true);
  const events = (await database.audit.listEvents({ limit: 10 })).items;
  expect(events.filter(({ subject }) => subject === lease.serverId)).toHaveLength(1);
  expect(await upkeepOf(lease)).toMatchObject({ recycleBegunAt: null });
  expect(await upkeep.beginRecycle(lease, "after 5 jobs")).toBe(true);
  expect(await upkeepOf(lease)).toMatchObject({
    recycleReason: "an operator asked for it",
    recycleBegunAt: expect.any(Date),
  });
  expect(await upkeep.endRecycle(lease, { outcome: "hook-failed", message: "NUL \u0000 and more" })).toBe(
    true,
  );
  expect(await upkeepOf(lease)).toMatchObject({
    ...{ promptsRun: 0, recycleReason: null, recycleAskedAt: null, recycleBegunAt: null },
    last: { reason: "an operator asked for it", outcome: "hook-failed", at: expect.any(Date) },
  });
});

test("the next owner is told that the server is being recycled", async () => {
  const { serverUpkeep: upkeep, servers } = database;
  const lease = await ownedServer();
  const nextOwner = async (
    before: ServerLease,
  ): Promise<Awaited<ReturnType<typeof servers.acquireServers>>[number]> => {
    await servers.releaseServers("worker-a", [before]);
    const [taken] = await servers.acquireServers("worker-a", [before.serverId], 1, 60_000);
    return taken!;
  };
  expect(lease).toMatchObject({ isBeingRecycled: false });
  await upkeep.askRecycle(lease.serverId, by);
  const second = await nextOwner(lease);
  expect(second.isBeingRecycled).toBe(false);
  await upkeep.beginRecycle(second, "");
  const third = await nextOwner(second);
  expect(third.isBeingRecycled).toBe(true);
  await upkeep.endRecycle(third, { outcome: "done", message: null });
  expect((await nextOwner(third)).isBeingRecycled).toBe(false);
});

test("only the server's owner changes it, and an unknown server is none", async () => {
  const { serverUpkeep: upkeep } = database;
  const lease = await ownedServer();
  await upkeep.notePrompts(lease, 1);
  await upkeep.beginRecycle(lease, "after 1 jobs");
  const late = { ...lease, leaseNumber: lease.leaseNumber - 1 };
  expect(await upkeep.notePrompts(late, 7)).toBe(false);
  expect(await upkeep.beginRecycle(late, "RAM is low")).toBe(false);
  expect(await upkeep.endRecycle(late, { outcome: "done", message: null })).toBe(false);
  expect(await upkeepOf(lease)).toMatchObject({ promptsRun: 1, recycleReason: "after 1 jobs", last: null });
  for (const unknown of [uuidv7(), "no-id"]) expect(await upkeep.askRecycle(unknown, by)).toBe(false);
});
