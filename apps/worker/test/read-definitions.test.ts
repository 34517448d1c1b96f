import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from "@jest/globals";
import { startSimulator, type Simulator } from "@genga/comfyui-simulator";
import { type Database } from "@genga/database";
import { createLogger } from "@genga/runtime";
import { type DefinitionsThread } from "@genga/workflows";
import pg from "pg";
import { OwnedServer } from "../src/servers/owned-server.ts";
import { OwnSilence } from "../src/timing/own-silence.ts";
import { startOddComfyUI, type OddComfyUI } from "./support/odd-comfyui.ts";
import { openDatabaseWithDefinitions, type DatabaseWithDefinitions } from "./support/definitions-thread.ts";

// What a look at a server costs the event loop that renews leases.

let opened: DatabaseWithDefinitions;
let database: Database;
let definitions: DefinitionsThread;
let simulators: Simulator[];
/** In front of the first one. */
let odd: OddComfyUI;
let owned: OwnedServer[];

beforeAll(async () => {
  opened = await openDatabaseWithDefinitions();
  ({ database, definitions } = opened);
}, 180_000);

afterAll(async () => {
  await opened.stop();
});

beforeEach(async () => {
  simulators = await Promise.all([startSimulator(), startSimulator()]);
  const { servers } = database;
  const urls = simulators.map(({ url }) => url.replace(/\/$/, ""));
  const records = await servers.registerServers(urls.map((url) => ({ url, slots: 2 })));
  const leased = await servers.acquireServers(
    "worker",
    records.map(({ id }) => id),
    2,
    60_000,
  );
  odd = await startOddComfyUI(simulators[0]!.url);
  owned = leased.map(
    ({ server: record, ...lease }) =>
      new OwnedServer({
        ...{ record, lease, servers, definitions, graceMs: 1_000, stallMs: 1_000 },
        address: {
          identity: record.url,
          url: record.url === urls[0] ? odd.url : record.url,
          credentials: undefined,
        },
        log: createLogger({ name: "read-definitions", level: "silent" }),
        silence: new OwnSilence(),
        onReady: () => undefined,
        onDefinitionsRead: () => undefined,
        onQueueSeen: () => Promise.resolve(),
      }),
  );
});

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(owned.map((server) => server.close()));
  await odd.close();
  await Promise.all(simulators.map((simulator) => simulator.stop()));
});

const readAgain = (server: OwnedServer): Promise<void> => server.tick({ definitionsWanted: true });

async function upload(simulator: Simulator, name: string): Promise<void> {
  const pixel =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const form = new FormData();
  form.set("image", new Blob([Buffer.from(pixel, "base64")], { type: "image/png" }), name);
  const reply = await fetch(new URL("/upload/image", simulator.url), { method: "POST", body: form });
  expect(reply.status).toBe(200);
}

test("an answer whose text is that of the last one is not read again, and one with another file is no new definition", async () => {
  const keep = jest.spyOn(definitions, "keep");
  const [server] = owned;
  await readAgain(server!);
  const hash = server!.definitions?.hash;
  expect(hash).toBeDefined();
  await readAgain(server!);
  await readAgain(server!);
  expect(keep).toHaveBeenCalledTimes(1);

  await upload(simulators[0]!, "holiday.png");
  await readAgain(server!);
  expect(keep).toHaveBeenCalledTimes(2);
  expect(server!.definitions?.hash).toBe(hash);
});

test("equal servers share one set of definitions, in the database and in the worker", async () => {
  for (const server of owned) await readAgain(server);
  const [one, other] = owned;
  expect(one!.definitions).not.toBeNull();
  expect(other!.definitions).toBe(one!.definitions);
  const records = await database.servers.listServers();
  const hashes = owned.map(({ id }) => records.find((record) => record.id === id)?.definitionsHash);
  expect(new Set(hashes)).toEqual(new Set([one!.definitions?.hash]));
});

test("the same answer of many servers is parsed once, and the others name in their rows what it gave", async () => {
  for (const simulator of simulators) await upload(simulator, "the same.png");
  const asked = jest.spyOn(Worker.prototype, "postMessage");
  const kinds = (): string[] =>
    asked.mock.calls.map(([message]) => (message as { request: { kind: string } }).request.kind);
  await Promise.all(owned.map(readAgain));
  expect(kinds()).toEqual(["keep", "name"]);
  const [one, other] = owned;
  expect(other!.definitions).toBe(one!.definitions);
  const records = await database.servers.listServers();
  for (const { id } of owned)
    expect(records.find((record) => record.id === id)?.definitionsHash).toBe(one!.definitions!.hash);
});

test("an answer that was parsed before is parsed and stored again if its definitions are not stored any more", async () => {
  for (const simulator of simulators) await upload(simulator, "again.png");
  const [one, other] = owned;
  await readAgain(one!);
  const client = new pg.Client({ connectionString: opened.databaseUrl });
  await client.connect();
  await client.query("UPDATE servers SET definitions_hash = NULL");
  await client.query("DELETE FROM node_definitions");
  await client.end();
  await readAgain(other!);
  expect(other!.definitions).toBe(one!.definitions);
  expect(await database.servers.findDefinitions(one!.definitions!.hash)).not.toBeNull();
});

test("the thread that renews leases parses no definitions, but the classes that a graph names", async () => {
  const parse = jest.spyOn(JSON, "parse");
  const longest = (): number => Math.max(0, ...parse.mock.calls.map(([text]) => text.length));
  const [server] = owned;
  await readAgain(server!);
  const { objectInfo } = server!.definitions!;
  // A class is a few kilobytes of text, and all of them are hundreds.
  expect(Object.keys(objectInfo).length).toBeGreaterThan(100);
  expect(longest()).toBeLessThan(20_000);
  parse.mockClear();
  expect(objectInfo["KSampler"]).toMatchObject({ input: { required: { seed: expect.anything() } } });
  expect(parse).toHaveBeenCalledTimes(1);
  expect(objectInfo["KSampler"]).toBeDefined();
  expect(parse).toHaveBeenCalledTimes(1);
});

test("lists of files that an earlier version stored with the definitions are not read", async () => {
  const { lease } = owned[0]!;
  const hash = "stored by an earlier version";
  const loadImage = {
    input: { required: { image: [["holiday.png"], { image_upload: true }] } },
    output: ["IMAGE", "MASK"],
  };
  const stored = { hash, objectInfo: { LoadImage: loadImage }, replacements: null };
  expect(await database.servers.saveDefinitions(lease, stored)).toBe(true);
  const found = await definitions.find(hash);
  expect(found?.objectInfo["LoadImage"]).toMatchObject({ output: ["IMAGE", "MASK"] });
  expect(JSON.stringify(found?.objectInfo)).not.toContain("holiday");
});

test("a server that answers everything else takes no job until its definitions were read again", async () => {
  const [server] = owned;
  await readAgain(server!);
  expect(server!.mayTakeJobs).toBe(true);

  const seen: boolean[] = [];
  const refuse = (_method: string, path: string): { status: number; body: string } | undefined => {
    if (path !== "/object_info") return undefined;
    seen.push(server!.mayTakeJobs);
    return { status: 500, body: "{}" };
  };
  odd.refuse = refuse;
  await readAgain(server!);
  expect(server!.mayTakeJobs).toBe(false);
  // While it is well, reading again takes nothing from it. Once it was away, each check asks first.
  expect(new Set(seen.splice(0))).toEqual(new Set([true]));
  await server!.tick();
  await server!.tick();
  expect(new Set(seen.splice(0))).toEqual(new Set([false]));
  expect(server!.mayTakeJobs).toBe(false);

  odd.refuse = null;
  await server!.tick();
  expect(server!.mayTakeJobs).toBe(true);
});
