import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ApiClient, type ServiceProcess } from "@genga/testing";
import { type GuardedProxy, startGuardedProxy } from "./support/guarded-proxy.ts";
import { ListedServers, ServersFolder, sleep } from "./support/listed-servers.ts";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// Servers that operators add and remove by the API, while jobs run.

const token = "s3cret-token-of-the-gateway";
let stack: TestStack;
let api: ApiClient;
let proxy: GuardedProxy;
let closed: ServiceProcess;
let listed: ListedServers;
let folder: ServersFolder;
/** A server of somebody else, to which nothing of the servers file's credentials may come. */
let stranger: GuardedProxy;

beforeAll(async () => {
  folder = await ServersFolder.create();
  await writeFile(join(folder.path, "token"), token);
  await folder.write(fileWithOrigins());
  stack = await startTestStack({
    ...{ simulators: 2, workers: 1 },
    env: {
      ...{ COMFYUI_URLS: "", LEASE_MS: "2000", SERVER_RETIRE_MS: "0", LOG_LEVEL: "trace" },
      ...{ ADDED_SERVERS_MAX: "2", COMFYUI_SERVERS_FILE: folder.serversFile },
      SECRETS_KEY: "c2VjcmV0cy1rZXktb2YtdGhlLXRlc3RzLW9mLXNlcnZlcnM=",
    },
  });
  ({ api } = stack);
  listed = new ListedServers(stack);
  closed = await stack.startWorker({ SERVERS_FROM_API: "false" });
  proxy = await startGuardedProxy({ target: stack.simulators[1]!.url, authorization: `Bearer ${token}` });
  stranger = await startGuardedProxy({ target: stack.simulators[1]!.url });
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await proxy.close();
  await stranger.close();
  await folder.remove();
}, 180_000);

function fileWithOrigins(...origins: string[]): string {
  const gateway = { bearer: { tokenFile: "token" }, origins };
  return JSON.stringify({ servers: [], credentials: { gateway } });
}

async function add(server: object): Promise<string> {
  const response = await api.request("POST", "servers", server);
  const body = (await response.json()) as { id: string };
  expect([response.status, body]).toEqual([201, expect.objectContaining({ id: expect.any(String) })]);
  return body.id;
}

async function refusalOf(server: object): Promise<unknown> {
  const response = await api.request("POST", "servers", server);
  return [response.status, ((await response.json()) as { code: string }).code];
}

test("servers are added and removed by the API while a batch runs: every job completes, and none runs twice", async () => {
  const first = await add({ url: `${listed.urlOf(0)}/`, slots: 1 });
  const shown = { id: first, source: "api", slots: 1, isAdded: true, hasAuthorization: false };
  expect(await listed.untilState(listed.urlOf(0), "online")).toMatchObject(shown);
  expect(await refusalOf({ url: listed.urlOf(0) })).toEqual([409, "server-exists"]);
  const long = await api.submit(sleep(150));
  await api.until(long, (job) => job.phase === "executing");
  const { jobIds } = await api.submitBatch(Array.from({ length: 8 }, () => sleep(0.3)));

  const url = `http://127.0.0.1:${proxy.port}`;
  const second = await add({ url, authorization: { bearer: { token: "s3cret-but-wrong" } } });
  expect(await listed.untilState(url, "denied")).toMatchObject({
    stateReason: expect.stringMatching(/HTTP 401$/),
  });
  expect(await refusalOf({ url: "http://127.0.0.1:9" })).toEqual([409, "too-many-servers"]);
  expect((await api.request("DELETE", `servers/${second}`)).status).toBe(204);
  expect(await add({ url, authorization: { bearer: { token } } })).toBe(second);
  await listed.until((servers) => servers.some((server) => server.url === url && server.state !== "denied"));

  expect((await api.request("DELETE", `servers/${first}`)).status).toBe(204);
  await listed.untilState(listed.urlOf(0), "retiring");
  // Once more changes nothing.
  expect((await api.request("DELETE", `servers/${first}`)).status).toBe(204);
  const both = await Promise.all(
    [1, 2].map(async () => (await api.request("POST", "servers", { url: listed.urlOf(0) })).status),
  );
  expect(both.toSorted()).toEqual([201, 409]);
  await listed.until((servers) =>
    servers.some((server) => server.id === first && server.state !== "retiring"),
  );
  expect((await api.request("DELETE", `servers/${first}`)).status).toBe(204);
  for (const id of jobIds) expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
  expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
  await api.cancel(long);
  expect(await api.untilEnded(long)).toMatchObject({ status: "cancelled", attempt: 1 });
  await listed.until((servers) => servers.every(({ id }) => id !== first));
  const ran = await listed.executions();
  expect([ran.length, new Set(ran).size]).toEqual([9, 9]);
  expect((await api.request("DELETE", `servers/${first}`)).status).toBe(404);
}, 180_000);

test("credentials of the servers file are sent only to servers for which it says so", async () => {
  const url = `http://127.0.0.1:${stranger.port}`;
  const id = await add({ url, credential: "gateway" });
  expect(await listed.untilState(url, "denied")).toMatchObject({
    stateReason: expect.stringMatching(/does not let the credentials gateway be sent to http/),
  });
  expect([stranger.admitted, stranger.refused]).toEqual([[], []]);
  stranger.authorization = `Bearer ${token}`;
  await folder.write(fileWithOrigins(url));
  await listed.until((servers) => servers.some((server) => server.id === id && server.state !== "denied"));
  expect([stranger.admitted.length > 0, stranger.refused]).toEqual([true, []]);
  expect((await api.request("DELETE", `servers/${id}`)).status).toBe(204);
}, 180_000);

test("credentials that were given with a server are shown nowhere, and workers may do without such servers", async () => {
  const { workers } = (await (await api.request("GET", "workers")).json()) as {
    workers: { id: string; serversNamed: string[] }[];
  };
  expect(workers.find(({ id }) => id === closed.details["workerId"])).toMatchObject({ serversNamed: [] });
  const rows = await listed.query<{ sealed: Buffer }>(
    "SELECT sealed_authorization AS sealed FROM added_servers WHERE sealed_authorization IS NOT NULL",
  );
  const answers = await listed.answers("servers", "workers", "audit-events", "health");
  expect(answers[2]).toContain("server-added");
  const lines = [...stack.workers, ...stack.apis].flatMap((service) => service.lines);
  const sealed = rows.map((row) => row.sealed.toString("latin1"));
  expect(sealed).toHaveLength(1);
  const shown = [await listed.dump(), ...sealed, ...answers, ...lines].join("\n");
  expect(shown).not.toContain("s3cret");
  // PostgreSQL shows bytes in base64.
  for (const text of [token, `Bearer ${token}`]) {
    expect(shown).not.toContain(Buffer.from(text).toString("base64").replace(/=+$/, "").slice(0, -1));
  }
}, 180_000);

test.each([
  [{ url: "ftp://gpu-1" }, "invalid-field"],
  [{ url: "http://user:s3cret@gpu-1" }, "invalid-field"],
  [{ url: "http://gpu-1?token=s3cret" }, "invalid-field"],
  [{ url: "http://gpu-1", slots: 17 }, "out-of-bounds"],
  [{ url: "http://gpu-1", labels: ["GPU"] }, "out-of-bounds"],
  [{ url: "http://gpu-1", credential: "a", authorization: { bearer: { token: "b" } } }, "invalid-field"],
])("%j is refused as %s", async (server, code) => {
  expect(await refusalOf(server)).toEqual([expect.any(Number), code]);
});
