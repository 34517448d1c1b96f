import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { type ApiClient, sleepWorkflow, type ServiceProcess } from "@genga/testing";
import pg from "pg";
import { type GuardedProxy, startGuardedProxy } from "./support/guarded-proxy.ts";
import { authority } from "./support/proxy-certificate.ts";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// Servers that come and go with the servers file, while jobs run; and servers behind a proxy that wants credentials.

let stack: TestStack;
let api: ApiClient;
let folder: string;
let proxy: GuardedProxy;
/** Another server, to which nothing of the credentials may come. */
let stranger: GuardedProxy;
const token = "s3cret-token-of-the-gateway";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-servers-"));
  const path = join(folder, "servers.yaml");
  await writeFile(path, "servers: []\n");
  await writeFile(join(folder, "ca.pem"), authority);
  stack = await startTestStack({
    ...{ simulators: 3, workers: 0 },
    env: { COMFYUI_URLS: "", COMFYUI_SERVERS_FILE: path, LEASE_MS: "2000", SERVER_RETIRE_MS: "0" },
  });
  ({ api } = stack);
  const target = stack.simulators[2]!.url;
  proxy = await startGuardedProxy({ target, authorization: `Bearer ${token}`, tls: true });
  stranger = await startGuardedProxy({ target });
}, 60_000);

afterEach(async () => {
  await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
});

afterAll(async () => {
  await stack.stop();
  await proxy.close();
  await stranger.close();
  await rm(folder, { recursive: true, force: true });
}, 30_000);

const urlOf = (index: number): string => stack.simulators[index]!.url.replace(/\/$/, "");
const sleep = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });

/** Puts another file in the place of the servers file, as Kubernetes and editors do. */
async function write(text: string): Promise<void> {
  await writeFile(join(folder, "new.yaml"), text);
  await rename(join(folder, "new.yaml"), join(folder, "servers.yaml"));
}

const writeServers = (...indexes: number[]): Promise<void> =>
  write(JSON.stringify({ servers: indexes.map((index) => ({ url: urlOf(index) })) }));

interface Server {
  url: string;
  state: string;
  stateReason: string | null;
  [field: string]: unknown;
}

async function untilServers(isSo: (servers: Server[]) => boolean): Promise<Server[]> {
  for (;;) {
    const { servers } = (await (await api.request("GET", "servers")).json()) as { servers: Server[] };
    if (isSo(servers)) return servers;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const untilState = async (url: string, state: string): Promise<Server> => {
  const isIt = (server: Server): boolean => server.url === url && server.state === state;
  return (await untilServers((servers) => servers.some(isIt))).find(isIt)!;
};

const untilGone = (url: string): Promise<unknown> =>
  untilServers((servers) => servers.every((server) => server.url !== url));

async function problemOf(
  worker: ServiceProcess,
): Promise<{ problem: string | null; metric: string | undefined }> {
  const { workers } = (await (await api.request("GET", "workers")).json()) as {
    workers: { id: string; serversProblem: string | null }[];
  };
  const metrics = await (await fetch(String(worker.details["health"]).replace(/health$/, "metrics"))).text();
  return {
    problem: workers.find(({ id }) => id === worker.details["workerId"])?.serversProblem ?? null,
    metric: /^genga_servers_file_bad(?:{.*})? (\d)$/m.exec(metrics)?.[1],
  };
}

const executions = async (): Promise<string[]> =>
  (await Promise.all(stack.simulators.map((simulator) => simulator.executions()))).flat();

test("a worker whose servers file has a mistake does not start, and names the line", async () => {
  await write("servers:\n  - url: http://gpu-1\n    slots: many\n");
  await expect(stack.startWorker()).rejects.toThrow(
    /COMFYUI_SERVERS_FILE: .*servers.yaml, line 3: servers\[0\].slots/,
  );
}, 60_000);

test("servers come and go with the file while a batch runs: every job completes, and none runs twice", async () => {
  await writeServers(0);
  await stack.startWorker();
  expect(await untilState(urlOf(0), "online")).toMatchObject({ source: "file", credential: null });
  const before = (await executions()).length;
  const long = await api.submit(sleep(150));
  await api.until(long, (job) => job.phase === "executing");
  const { jobIds } = await api.submitBatch(Array.from({ length: 12 }, () => sleep(0.4)));

  // What runs on a server that is taken out goes on there, and it comes back as the same.
  await writeServers(1);
  await untilState(urlOf(1), "online");
  expect(await untilState(urlOf(0), "retiring")).toMatchObject({
    stateReason: expect.stringMatching(/No source/),
  });
  // A cut-off file, then four changes at once: the last one counts.
  await write('{"servers": [{"url": "http://');
  for (const indexes of [[], [0], [1], [0, 1]]) await writeServers(...indexes);
  await untilState(urlOf(0), "online");
  expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
  await writeServers(1);
  await untilState(urlOf(0), "retiring");
  expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
  await api.cancel(long);
  expect(await api.untilEnded(long)).toMatchObject({ status: "cancelled", attempt: 1 });
  await untilGone(urlOf(0));

  for (const id of jobIds) expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
  const ran = (await executions()).slice(before);
  expect([ran.length, new Set(ran).size]).toEqual([13, 13]);
}, 180_000);

test("a worker that dies while it retires a server leaves it to another one, which collects what ran there", async () => {
  await writeServers(0);
  const doomed = await stack.startWorker();
  await untilState(urlOf(0), "online");
  const before = (await executions()).length;
  const id = await api.submit(sleep(12));
  await api.until(id, (job) => job.phase === "executing");
  await writeServers(1);
  await untilState(urlOf(0), "retiring");
  doomed.signal("SIGKILL");
  await doomed.exited;
  await stack.startWorker();
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
  expect((await executions()).length).toBe(before + 1);
  await untilGone(urlOf(0));
}, 180_000);

test("a broken file changes nothing, and is told until it is mended; SIGHUP has it read as well", async () => {
  await writeServers(1);
  const worker = await stack.startWorker();
  await untilState(urlOf(1), "online");
  expect(await problemOf(worker)).toEqual({ problem: null, metric: "0" });
  await write("servers:\n  - url: http://gpu-1\n    lables: [a]\n");
  expect(await worker.line(/the last good one counts/)).toContain("servers.yaml, line 3");
  let told = await problemOf(worker);
  while (told.problem === null) told = await problemOf(worker);
  expect(told).toEqual({
    problem: expect.stringContaining("servers[0].lables: there is no such field"),
    metric: "1",
  });
  worker.signal("SIGHUP");
  const id = await api.submit(sleep(0));
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
  expect(worker.lines.filter((line) => line.includes("the last good one counts"))).toHaveLength(1);
  await writeServers(1);
  while (told.problem !== null) told = await problemOf(worker);
  expect(told.metric).toBe("0");
}, 60_000);

test("a server behind https and a bearer token says that it is denied, until the token is right, and nothing shows it", async () => {
  const url = `https://localhost:${proxy.port}`;
  await writeFile(join(folder, "token"), "s3cret-but-old\n");
  await write(
    "credentials:\n  gateway: {bearer: {tokenFile: token}}\n" +
      `servers:\n  - {url: "${url}", credential: gateway, slots: 1, labels: [behind:gateway]}\n`,
  );
  const worker = await stack.startWorker({
    ...{ NODE_EXTRA_CA_CERTS: join(folder, "ca.pem"), LOG_LEVEL: "trace", SERVER_GRACE_MS: "1500" },
  });
  expect(await untilState(url, "denied")).toMatchObject({
    ...{ stateReason: expect.stringMatching(/HTTP 401$/), credential: "gateway" },
    ...{ slots: 1, labels: ["behind:gateway"] },
  });
  proxy.redirectTo = `http://127.0.0.1:${stranger.port}`;
  await untilServers((servers) =>
    servers.some((server) => server.url === url && server.stateReason?.includes("a redirect") === true),
  );
  proxy.redirectTo = null;
  await writeFile(join(folder, "token"), `${token}\n`);
  await untilServers((servers) => servers.some((server) => server.url === url && server["isKnown"] === true));
  const id = await api.submit({ ...sleep(0.1), requires: ["behind:gateway"] });
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });

  // The server and its credentials are taken out while a job runs there: it ends there, after more than the grace time.
  const before = (await executions()).length;
  const last = await api.submit({ ...sleep(6), requires: ["behind:gateway"] });
  await api.until(last, (job) => job.phase === "executing");
  await write("servers: []\n");
  expect(await api.untilEnded(last)).toMatchObject({ status: "completed", attempt: 1 });
  expect((await executions()).length).toBe(before + 1);
  await untilGone(url);
  const whats = proxy.admitted.map(({ what }) => what);
  expect(whats).toEqual(expect.arrayContaining(["GET /ws", "POST /prompt", "GET /view"]));
  expect([stranger.admitted, stranger.refused]).toEqual([[], []]);

  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  const dump = await client.query<{ text: string }>("SELECT database_to_xml(true, false, '')::text AS text");
  await client.end();
  const answers = await Promise.all(
    ["servers", "workers", "health", `job/${id}`, `jobs/${id}/attempts`].map(async (path) =>
      (await api.request("GET", path)).text(),
    ),
  );
  const metrics = await (await fetch(String(worker.details["health"]).replace(/health$/, "metrics"))).text();
  expect([dump.rows[0]!.text, ...answers, metrics, ...worker.lines].join("\n")).not.toContain("s3cret");
}, 180_000);
