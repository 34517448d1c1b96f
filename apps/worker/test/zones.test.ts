import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Database } from "@genga/database";
import { StoreUnavailableError } from "@genga/jobs";
import { createLogger, type Logger } from "@genga/runtime";
import { type DefinitionsThread } from "@genga/workflows";
import pg from "pg";
import { OutageGuard } from "../src/timing/outage-guard.ts";
import { ServerFleet } from "../src/servers/server-fleet.ts";
import { openDatabaseWithDefinitions, type DatabaseWithDefinitions } from "./support/definitions-thread.ts";

const leaseMs = 60_000;
let opened: DatabaseWithDefinitions;
let database: Database;
let definitions: DefinitionsThread;

beforeAll(async () => {
  opened = await openDatabaseWithDefinitions();
  ({ database, definitions } = opened);
}, 180_000);

afterAll(async () => {
  await opened.stop();
});

const silent = createLogger({ name: "zones", level: "silent" });

/** Servers that nobody runs: who owns them does not depend on how they are. */
function fleet(
  workerId: string,
  ports: number[],
  { serverName = "", host = null as string | null, log = silent, guard = new OutageGuard(leaseMs) } = {},
): ServerFleet {
  return new ServerFleet({
    workerId,
    servers: database.servers,
    serverSources: database.serverSources,
    definitions,
    sources: {
      servers: ports.map((port) => {
        const url = `http://127.0.0.1:${port}`;
        const identity = serverName === "" ? url : `${url}#${serverName}`;
        return {
          address: {
            ...{ identity, credentials: undefined },
            ...(host === null ? { url } : { url: `http://${host}:${port}`, ipAddress: "127.0.0.1" }),
          },
          ...{ slots: 2, labels: [], source: "setting", credential: null, resolvedFrom: host },
        };
      }),
      problem: null,
      takesServersOfApi: false,
      authorizationFor: () => undefined,
    },
    serverName: serverName === "" ? undefined : serverName,
    ...{ leaseMs, graceMs: 1_000, stallMs: 1_000 },
    guard,
    log,
    statusUrl: () => null,
    onReady: () => undefined,
    onDefinitionsRead: () => undefined,
    onQueueSeen: () => Promise.resolve(),
    onGone: () => Promise.resolve(),
  });
}

test("workers of different zones own all servers between them, and the rows say who names which", async () => {
  const fleets = [fleet("zone-a", [1, 2]), fleet("zone-b", [3, 4])];
  for (let pass = 0; pass < 3; pass += 1) {
    for (const each of fleets) {
      await each.renew();
      await each.balance();
    }
  }
  const servers = await database.servers.listServers();
  const idOf = (port: number): string => servers.find(({ url }) => url.endsWith(`:${port}`))!.id;
  expect(new Map(servers.map(({ url, ownerId }) => [Number(new URL(url).port), ownerId]))).toEqual(
    new Map([
      [1, "zone-a"],
      [2, "zone-a"],
      [3, "zone-b"],
      [4, "zone-b"],
    ]),
  );
  expect(await database.servers.listLiveWorkers(leaseMs)).toMatchObject([
    { id: "zone-a", serverIds: [idOf(1), idOf(2)], serversOwned: 2 },
    { id: "zone-b", serverIds: [idOf(3), idOf(4)], serversOwned: 2 },
  ]);
  for (const each of fleets) await each.close();
}, 180_000);

test("a worker whose sources name no server leaves all of them to the others", async () => {
  const fleets = [fleet("has-none", []), fleet("has-all", [5, 6])];
  for (let pass = 0; pass < 3; pass += 1) {
    for (const each of fleets) {
      await each.renew();
      await each.balance();
    }
  }
  expect(fleets.map(({ owned }) => owned.length)).toEqual([0, 2]);
  for (const each of fleets) await each.close();
  for (const id of ["has-none", "has-all"]) await database.servers.stopWorker(id);
}, 180_000);

test("after an outage a worker takes servers that others hand over, and none whose owner only seems to be dead", async () => {
  const guard = new OutageGuard(leaseMs);
  const outage = guard.watch(Promise.reject(new StoreUnavailableError(new Error("away"))));
  await expect(outage).rejects.toThrow("not reachable");
  const [quiet, back] = [fleet("quiet", [7]), fleet("was-away", [7, 8], { guard })];
  await quiet.renew();
  await quiet.balance();
  expect(quiet.owned).toHaveLength(1);
  const { id } = quiet.owned[0]!;
  const client = new pg.Client({ connectionString: opened.databaseUrl });
  await client.connect();
  await client.query("UPDATE servers SET lease_expires_at = now() - interval '1 second' WHERE id = $1", [id]);
  await client.end();
  await database.servers.stopWorker("quiet");
  await back.renew();
  await back.balance();
  expect(back.owned.map(({ url }) => new URL(url).port)).toEqual(["8"]);
  await quiet.close();
  await back.renew();
  await back.balance();
  expect(back.owned).toHaveLength(2);
  await back.close();
  await database.servers.stopWorker("was-away");
}, 180_000);

test("the same loopback address on two machines is two servers by SERVER_NAME, and a warning without", async () => {
  const said: string[] = [];
  const log = Object.assign(Object.create(silent) as Logger, {
    warn: (_details: object, message: string) => said.push(message),
  });
  const balance = async (fleets: ServerFleet[]): Promise<number> => {
    for (let pass = 0; pass < 3; pass += 1) {
      for (const each of fleets) {
        await each.renew();
        await each.balance();
      }
    }
    const owned = fleets.reduce((count, each) => count + each.owned.length, 0);
    for (const each of fleets) await each.close();
    for (const workerId of ["pod-a", "pod-b"]) await database.servers.stopWorker(workerId);
    return owned;
  };
  expect(
    await balance(["pod-a", "pod-b"].map((name) => fleet(name, [8188], { serverName: name, log }))),
  ).toBe(2);
  expect(said.filter((message) => message.includes("loopback"))).toEqual([]);
  expect(await balance(["pod-a", "pod-b"].map((name) => fleet(name, [8188], { log })))).toBe(1);
  const warnings = (): number => said.filter((message) => message.includes("set SERVER_NAME on each")).length;
  expect(warnings()).toBe(2);
  // Also if a name of DNS is resolved to it.
  const host = "comfyui.test";
  const byName = ["pod-a", "pod-b"].map((name) => fleet(name, [8189], { serverName: name, host, log }));
  expect([await balance(byName), warnings()]).toEqual([2, 2]);
  expect(await balance(["pod-a", "pod-b"].map((name) => fleet(name, [8189], { host, log })))).toBe(1);
  expect(warnings()).toBe(4);
}, 180_000);
