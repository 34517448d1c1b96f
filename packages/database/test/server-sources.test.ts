import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Database, migrate, openDatabase } from "@genga/database";
import { type NewAddedServer } from "@genga/jobs";
import { buildJob, createTestDatabase } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";

// Two workers name the same servers, and then not any more.

let database: Database;
let client: pg.Client;
let drop: () => Promise<void>;

beforeAll(async () => {
  const scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
  drop = () => scratch.drop();
});
afterAll(async () => {
  await client.end();
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

const by = { tenantId: null, keyName: "operator" };
const newServer = (url: string): NewAddedServer => ({
  ...{ url, slots: 1, labels: [], credential: null },
  seal: (id) => Buffer.from(`sealed for ${id}`),
});

test("a server that was added stays without workers, within the limit, until it is taken out: then its credentials go", async () => {
  const { servers, serverSources } = database;
  const limits = { leaseMs, countMax: 2 };
  const outcomes = await Promise.all(
    ["http://added-1", "http://added-1", "http://added-2", "http://added-3"].map((url) =>
      serverSources.addServer(newServer(url), by, limits),
    ),
  );
  const ids = outcomes.flatMap((outcome) => (typeof outcome === "object" ? [outcome.id] : []));
  expect(ids).toHaveLength(2);
  expect(await serverSources.addServer(newServer("http://added-4"), by, limits)).toBe("full");
  expect(await serverSources.addServer(newServer("http://named"), by, { leaseMs, countMax: 9 })).toBe(
    "taken",
  );
  expect(await remove()).toBe(0);

  // A worker that does not know of it any more lets it go: it is listed all the same.
  const [first = "", second = ""] = ids;
  const [lease] = await servers.acquireServers("one", [first], 1, leaseMs);
  expect(await serverSources.letGoServer("one", lease!, leaseMs)).toBe(true);
  const records = await servers.listServers();
  expect(records.find(({ id }) => id === first)).toMatchObject({ isAdded: true, isRemoved: false });

  expect(await serverSources.removeAdded(first, by)).toBe(true);
  expect(await serverSources.removeAdded(first, by)).toBe(false);
  const kept = (await serverSources.listAdded()).map(({ id, isRemoved }) => ({ id, isRemoved }));
  expect(kept.toSorted((one) => (one.id === first ? -1 : 1))).toEqual([
    { id: first, isRemoved: true },
    { id: second, isRemoved: false },
  ]);
  await remove();
  expect((await serverSources.listAdded()).map(({ id }) => id)).toEqual([second]);
  expect(await serverSources.addServer(newServer("http://added-4"), by, limits)).toEqual({
    id: expect.any(String),
  });
});

test("the revision of the added servers is another one after each change of them, and only then", async () => {
  const { servers, serverSources } = database;
  const revisions: string[] = [];
  const note = async (change: () => Promise<unknown>): Promise<void> => {
    await change();
    revisions.push(await serverSources.revisionOfAdded());
    expect(await serverSources.revisionOfAdded()).toBe(revisions.at(-1));
  };
  const limits = { leaseMs, countMax: 99 };
  const added = await serverSources.addServer(newServer("http://revised"), by, limits);
  if (typeof added !== "object") throw new Error(added);
  revisions.push(await serverSources.revisionOfAdded());
  await servers.setDraining(added.id, true);
  expect(await serverSources.revisionOfAdded()).toBe(revisions.at(-1));
  await note(() => serverSources.removeAdded(added.id, by));
  await note(() => serverSources.addServer(newServer("http://revised"), by, limits));
  await note(() => serverSources.removeAdded(added.id, by));
  await note(remove);
  expect(new Set(revisions).size).toBe(revisions.length);
});

test("credentials of a server that was taken out go also when a file has come to name it", async () => {
  const { servers, serverSources } = database;
  const url = "http://in-a-file-now";
  const added = await serverSources.addServer(newServer(url), by, { leaseMs, countMax: 99 });
  if (typeof added !== "object") throw new Error(added);
  await servers.registerServers([{ url, slots: 1, source: "file" }]);
  await servers.renewWorker("one", [added.id], leaseMs);
  expect(await serverSources.removeAdded(added.id, by)).toBe(true);
  await remove();

  expect((await serverSources.listAdded()).map(({ id }) => id)).not.toContain(added.id);
  expect(await listed()).toContain(url);
});

test("a server that a file named is not added while no worker is alive that could say whether it still does", async () => {
  const { servers, serverSources } = database;
  const url = "http://in-a-file-last";
  await servers.registerServers([{ url, slots: 1, source: "file" }]);
  for (const { id } of await servers.listLiveWorkers(leaseMs)) await servers.stopWorker(id);
  const limits = { leaseMs, countMax: 99 };
  expect(await serverSources.addServer(newServer(url), by, limits)).toBe("taken");
  const added = await serverSources.addServer(newServer("http://in-no-file"), by, limits);
  expect(added).toEqual({ id: expect.any(String) });
  await servers.renewWorker("two", ["01985b3f-0000-7000-8000-000000000000"], leaseMs);
  expect(await serverSources.addServer(newServer(url), by, limits)).toEqual({ id: expect.any(String) });
});

test("an address that comes back after its server was removed is another machine's, which nobody has drained", async () => {
  const { servers } = database;
  const row = { url: "http://10.0.0.7:8188", slots: 1, resolvedFrom: "comfyui.test" };
  const register = async (): Promise<{ id: string; draining: boolean }> =>
    (await servers.registerServers([row]))[0]!;
  const { id } = await register();
  await servers.setDraining(id, true);
  expect(await register()).toMatchObject({ id, draining: true });
  await remove();
  expect(await listed()).not.toContain(row.url);
  expect(await register()).toMatchObject({ id, draining: false });
});

test("the row of a server that is gone is removed after a time, unless an attempt, a prompt or a worker needs it", async () => {
  const { servers, serverSources, jobRequests, jobRuns, tenants } = database;
  const urls = ["listed", "gone", "ran-a-job", "has-a-prompt", "known-to-a-worker"].map(
    (name) => `http://${name}`,
  );
  const rows = await servers.registerServers(urls.map((url) => ({ url, slots: 1, source: "file" as const })));
  const [listedId, , ranId, promptId, knownId] = rows.map(({ id }) => id) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const tenantId = (await tenants.defaultTenant()).id;
  const [job] = await jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] });
  const claim = {
    jobId: job!.id,
    attempt: 1,
    ticketNumber: 0,
    workerId: "one",
    clientId: "c",
    serverId: ranId,
  };
  const [lease] = await jobRuns.claimJobs([{ ...claim, promptId: uuidv7() }], leaseMs);
  await jobRuns.endAttempt(lease!, { kind: "cancelled" });
  await client.query("DELETE FROM prompts_to_forget");
  await client.query("INSERT INTO prompts_to_forget (prompt_id, server_id) VALUES ($1, $2)", [
    uuidv7(),
    promptId,
  ]);
  for (const { id } of await servers.listLiveWorkers(leaseMs)) await servers.stopWorker(id);
  await client.query("DELETE FROM workers");
  await servers.renewWorker("one", [listedId], leaseMs);
  await remove();
  await servers.renewWorker("one", [listedId, knownId], leaseMs);
  const kept = async (): Promise<string[]> => {
    const { rows: left } = await client.query<{ url: string }>(
      "SELECT url FROM servers WHERE url = ANY($1)",
      [urls],
    );
    return left.map(({ url }) => url).sort();
  };

  await serverSources.forgetServers(3_600_000);
  expect(await kept()).toEqual(urls.toSorted());
  await client.query("UPDATE servers SET removed_at = removed_at - interval '2 hours'");
  await serverSources.forgetServers(3_600_000);
  expect(await kept()).toEqual(urls.filter((url) => url !== "http://gone").toSorted());
  // Nothing but the attempt keeps the row of the job's server: it goes with the job.
  await jobRequests.removeJob(job!.id);
  await client.query("DELETE FROM prompts_to_forget");
  await servers.renewWorker("one", [listedId], leaseMs);
  await serverSources.forgetServers(3_600_000);
  expect(await kept()).toEqual(["http://listed"]);
});
