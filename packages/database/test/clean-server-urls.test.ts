import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { buildJob } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
let client: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});
beforeEach(() => client.query("DELETE FROM servers"));

/** Inserts a server as a process of an earlier version stored it: with the URL as it was configured. */
async function storedServer(url: string, leaseEnd: string | null = null): Promise<string> {
  const id = uuidv7();
  const text =
    "INSERT INTO servers (id, url, slots, lease_owner, lease_expires_at) VALUES ($1, $2, 2, $4, now() + $3::interval)";
  await client.query(text, [id, url, leaseEnd, leaseEnd === null ? null : "worker"]);
  return id;
}
async function urls(): Promise<Map<string, string>> {
  const { rows } = await client.query<{ id: string; url: string }>("SELECT id, url FROM servers");
  return new Map(rows.map(({ id, url }) => [id, url]));
}
const identityOf = (url: string): string => {
  const { origin, pathname, hash } = new URL(url);
  return origin + pathname.replace(/\/+$/, "") + hash;
};

test("a row whose URL has a password gets the server's identity, and stays the row that jobs name", async () => {
  const [odd, plain] = [
    await storedServer("http://user:hunter2@GPU-1:80"),
    await storedServer("http://gpu-2:8188"),
  ];
  expect(await stores.servers.cleanServerUrls(identityOf)).toBe(1);
  expect(await urls()).toEqual(
    new Map([
      [odd, "http://gpu-1"],
      [plain, "http://gpu-2:8188"],
    ]),
  );
  expect(await stores.servers.cleanServerUrls(identityOf)).toBe(0);
  const [server] = await stores.servers.registerServers([{ url: "http://gpu-1", slots: 2 }]);
  expect(server!.id).toBe(odd);
});

test("before the rewrite neither servers nor attempts show user or password", async () => {
  const serverId = await storedServer("http://user:hunter2@gpu-1");
  const tenantId = (await stores.tenants.defaultTenant()).id;
  const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] });
  const claim = {
    jobId: job!.id,
    attempt: 1,
    ticketNumber: 0,
    serverId,
    promptId: uuidv7(),
    workerId: "w",
    clientId: "c",
  };
  await stores.jobRuns.claimJobs([claim], 60_000);
  const shown = [await stores.servers.listServers(), await stores.jobRuns.listAttempts(job!.id)];
  expect(shown).toMatchObject([[{ url: "http://gpu-1" }], [{ serverUrl: "http://gpu-1" }]]);
  await client.query("DELETE FROM jobs");
});

test("of several rows of one server the one in use stays, and the others are set aside without their passwords", async () => {
  const first = await storedServer("http://user:one@gpu-1", "-1 day");
  const used = await storedServer("http://user:two@gpu-1", "1 minute");
  const third = await storedServer("http://GPU-1");
  expect(await stores.servers.cleanServerUrls(identityOf)).toBe(3);
  expect(await urls()).toEqual(
    new Map([
      [first, `http://gpu-1#earlier-${first}`],
      [used, "http://gpu-1"],
      [third, `http://gpu-1#earlier-${third}`],
    ]),
  );
});

test("a row that a process of an earlier version adds during a deploy does not replace the right one", async () => {
  const right = await storedServer("http://gpu-1", "1 second");
  const late = await storedServer("http://user:hunter2@gpu-1", "1 minute");
  await Promise.all([1, 2, 3].map(() => stores.servers.cleanServerUrls(identityOf)));
  expect(await urls()).toEqual(
    new Map([
      [right, "http://gpu-1"],
      [late, `http://gpu-1#earlier-${late}`],
    ]),
  );
});

test("a password that is still in a row is never shown, and no new row contains one", async () => {
  const id = await storedServer("http://user:p@ss%2Fhunter2@gpu-1");
  expect((await stores.servers.listServers()).map(({ url }) => url)).toEqual(["http://gpu-1"]);
  await client.query("DELETE FROM servers WHERE id = $1", [id]);
  const [server] = await stores.servers.registerServers([{ url: "http://user:hunter2@gpu-3", slots: 1 }]);
  expect((await urls()).get(server!.id)).toBe("http://gpu-3");
});
