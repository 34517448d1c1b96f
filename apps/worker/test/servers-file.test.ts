import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { type ApiClient, type ServiceProcess, askUntil } from "@genga/testing";
import { type DnsServer, startDnsServer } from "./support/dns-server.ts";
import { type GuardedProxy, startGuardedProxy } from "./support/guarded-proxy.ts";
import { ListedServers, ServersFolder, sleep } from "./support/listed-servers.ts";
import { authority } from "./support/proxy-certificate.ts";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// Servers that come and go with the servers file, while jobs run; and servers behind a proxy that wants credentials.

let stack: TestStack;
let api: ApiClient;
let listed: ListedServers;
let folder: ServersFolder;
let dns: DnsServer;
let proxy: GuardedProxy;
/** Another server, to which nothing of the credentials may come. */
let stranger: GuardedProxy;
const token = "s3cret-token-of-the-gateway";

beforeAll(async () => {
  folder = await ServersFolder.create();
  await folder.write("servers: []\n");
  await writeFile(join(folder.path, "ca.pem"), authority);
  dns = await startDnsServer();
  stack = await startTestStack({
    ...{ simulators: 3, workers: 0 },
    env: {
      ...{
        COMFYUI_URLS: "",
        COMFYUI_SERVERS_FILE: folder.serversFile,
        LEASE_MS: "2000",
        SERVER_RETIRE_MS: "0",
      },
      ...{ SERVERS_DNS: dns.address, SERVERS_DNS_INTERVAL_MS: "100" },
    },
  });
  ({ api } = stack);
  listed = new ListedServers(stack);
  const target = stack.simulators[2]!.url;
  proxy = await startGuardedProxy({ target, authorization: `Bearer ${token}`, tls: true });
  stranger = await startGuardedProxy({ target });
}, 180_000);

afterEach(async () => {
  await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
});

afterAll(async () => {
  await stack.stop();
  await proxy.close();
  await stranger.close();
  await folder.remove();
  dns.close();
}, 180_000);

const writeServers = (...indexes: number[]): Promise<void> =>
  folder.write(JSON.stringify({ servers: indexes.map((index) => ({ url: listed.urlOf(index) })) }));

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

test("a worker whose servers file has a mistake does not start, and names the line", async () => {
  await folder.write("servers:\n  - url: http://gpu-1\n    slots: many\n");
  await expect(stack.startWorker()).rejects.toThrow(
    /COMFYUI_SERVERS_FILE: .*servers.yaml, line 3: servers\[0\].slots/,
  );
}, 180_000);

test("servers come and go with the file while a batch runs: every job completes, and none runs twice", async () => {
  await writeServers(0);
  await stack.startWorker();
  expect(await listed.untilState(listed.urlOf(0), "online")).toMatchObject({
    source: "file",
    credential: null,
  });
  const before = (await listed.executions()).length;
  const long = await api.submit(sleep(150));
  await api.until(long, (job) => job.phase === "executing");
  const { jobIds } = await api.submitBatch(Array.from({ length: 12 }, () => sleep(0.4)));

  // What runs on a server that is taken out goes on there, and it comes back as the same.
  await writeServers(1);
  await listed.untilState(listed.urlOf(1), "online");
  expect(await listed.untilState(listed.urlOf(0), "retiring")).toMatchObject({
    stateReason: expect.stringMatching(/No source/),
  });
  // A cut-off file, then four changes at once: the last one counts.
  await folder.write('{"servers": [{"url": "http://');
  for (const indexes of [[], [0], [1], [0, 1]]) await writeServers(...indexes);
  await listed.untilState(listed.urlOf(0), "online");
  expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
  await writeServers(1);
  await listed.untilState(listed.urlOf(0), "retiring");
  expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
  await api.cancel(long);
  expect(await api.untilEnded(long)).toMatchObject({ status: "cancelled", attempt: 1 });
  await listed.untilGone(listed.urlOf(0));

  for (const id of jobIds) expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
  const ran = (await listed.executions()).slice(before);
  expect([ran.length, new Set(ran).size]).toEqual([13, 13]);
}, 180_000);

test("a worker that dies while it retires a server leaves it to another one, which collects what ran there", async () => {
  await writeServers(0);
  const doomed = await stack.startWorker();
  await listed.untilState(listed.urlOf(0), "online");
  const before = (await listed.executions()).length;
  const id = await api.submit(sleep(12));
  await api.until(id, (job) => job.phase === "executing");
  await writeServers(1);
  await listed.untilState(listed.urlOf(0), "retiring");
  doomed.signal("SIGKILL");
  await doomed.exited;
  await stack.startWorker();
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
  expect((await listed.executions()).length).toBe(before + 1);
  await listed.untilGone(listed.urlOf(0));
}, 180_000);

test("a broken file changes nothing, and is told until it is mended; SIGHUP has it read as well", async () => {
  await writeServers(1);
  const worker = await stack.startWorker();
  await listed.untilState(listed.urlOf(1), "online");
  expect(await problemOf(worker)).toEqual({ problem: null, metric: "0" });
  await folder.write("servers:\n  - url: http://gpu-1\n    lables: [a]\n");
  expect(await worker.line(/the last good one counts/)).toContain("servers.yaml, line 3");
  const told = await askUntil(
    () => problemOf(worker),
    ({ problem }) => problem !== null,
  );
  expect(told).toEqual({
    problem: expect.stringContaining("servers[0].lables: there is no such field"),
    metric: "1",
  });
  worker.signal("SIGHUP");
  const id = await api.submit(sleep(0));
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
  expect(worker.lines.filter((line) => line.includes("the last good one counts"))).toHaveLength(1);
  await writeServers(1);
  const after = await askUntil(
    () => problemOf(worker),
    ({ problem }) => problem === null,
  );
  expect(after.metric).toBe("0");
}, 180_000);

test("a server behind https and a bearer token says that it is denied, until the token is right, and nothing shows it", async () => {
  const url = `https://localhost:${proxy.port}`;
  await writeFile(join(folder.path, "token"), "s3cret-but-old\n");
  await folder.write(
    "credentials:\n  gateway: {bearer: {tokenFile: token}}\n" +
      `servers:\n  - {url: "${url}", credential: gateway, slots: 1, labels: [behind:gateway]}\n`,
  );
  const worker = await stack.startWorker({
    ...{ NODE_EXTRA_CA_CERTS: join(folder.path, "ca.pem"), LOG_LEVEL: "trace", SERVER_GRACE_MS: "1500" },
  });
  expect(await listed.untilState(url, "denied")).toMatchObject({
    ...{ stateReason: expect.stringMatching(/HTTP 401$/), credential: "gateway" },
    ...{ slots: 1, labels: ["behind:gateway"] },
  });
  proxy.redirectTo = `http://127.0.0.1:${stranger.port}`;
  await listed.until((servers) =>
    servers.some((server) => server.url === url && server.stateReason?.includes("a redirect") === true),
  );
  proxy.redirectTo = null;
  await writeFile(join(folder.path, "token"), `${token}\n`);
  await listed.until((servers) => servers.some((server) => server.url === url && server["isKnown"] === true));
  const id = await api.submit({ ...sleep(0.1), requires: ["behind:gateway"] });
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });

  // The server and its credentials are taken out while a job runs there: it ends there, after more than the grace time.
  const before = (await listed.executions()).length;
  const last = await api.submit({ ...sleep(6), requires: ["behind:gateway"] });
  await api.until(last, (job) => job.phase === "executing");
  await folder.write("servers: []\n");
  expect(await api.untilEnded(last)).toMatchObject({ status: "completed", attempt: 1 });
  expect((await listed.executions()).length).toBe(before + 1);
  await listed.untilGone(url);
  const whats = proxy.admitted.map(({ what }) => what);
  expect(whats).toEqual(expect.arrayContaining(["GET /ws", "POST /prompt", "GET /view"]));
  expect([stranger.admitted, stranger.refused]).toEqual([[], []]);

  const answers = await listed.answers("servers", "workers", "health", `job/${id}`, `jobs/${id}/attempts`);
  const metrics = await (await fetch(String(worker.details["health"]).replace(/health$/, "metrics"))).text();
  expect([await listed.dump(), ...answers, metrics, ...worker.lines].join("\n")).not.toContain("s3cret");
}, 180_000);

test("a name stands for a server at each of its addresses, which come and go in DNS while a batch runs", async () => {
  const hosts = ["127.0.0.2", "127.0.0.3"];
  const target = listed.urlOf(0);
  const first = await startGuardedProxy({
    target,
    tls: true,
    authorization: `Bearer ${token}`,
    host: hosts[0]!,
  });
  const { port } = first;
  const second = await startGuardedProxy({
    ...{ target: listed.urlOf(1), tls: true, authorization: `Bearer ${token}`, host: hosts[1]!, port },
  });
  try {
    await writeFile(join(folder.path, "token"), `${token}\n`);
    await folder.write(
      "credentials:\n  gateway: {bearer: {tokenFile: token}}\n" +
        `servers:\n  - {url: "dns+https://comfyui.test:${port}", credential: gateway, slots: 1}\n`,
    );
    const env = { NODE_EXTRA_CA_CERTS: join(folder.path, "ca.pem") };
    const worker = await stack.startWorker(env);
    await worker.line(/a name of servers cannot be resolved/);
    const [one = "", other = ""] = hosts.map((host) => `https://${host}:${port}`);
    dns.addresses = hosts.slice(0, 1);
    const shown = { source: "file", resolvedFrom: "comfyui.test", credential: "gateway", slots: 1 };
    expect(await listed.untilState(one, "online")).toMatchObject(shown);
    const before = (await listed.executions()).length;
    const long = await api.submit(sleep(150));
    await api.until(long, (job) => job.phase === "executing");
    const { jobIds } = await api.submitBatch(Array.from({ length: 6 }, () => sleep(0.3)));
    dns.addresses = hosts;
    await listed.untilState(other, "online");
    for (const id of jobIds) expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });

    // DNS is away: nobody is retired, and a worker that starts now takes the servers over.
    for (const behaviour of [2, "silent"] as const) {
      dns.behaviour = behaviour;
      await dns.asked(2);
    }
    dns.behaviour = 2;
    expect((await problemOf(worker)).problem ?? "").toMatch(/comfyui\.test \(E/);
    await worker.stop();
    stack.workers.splice(0);
    await stack.startWorker(env);
    await listed.untilState(other, "online");
    await listed.untilState(one, "online");

    [dns.behaviour, dns.addresses] = [0, hosts.slice(1)];
    expect(await listed.untilState(one, "retiring")).toMatchObject(shown);
    expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
    await api.cancel(long);
    await api.untilEnded(long);
    await listed.untilGone(one);
    const ran = (await listed.executions()).slice(before);
    expect([ran.length, new Set(ran).size]).toEqual([7, 7]);
    const asked = [...first.admitted, ...second.admitted].map(({ host }) => host);
    expect([...new Set(asked)]).toEqual([`comfyui.test:${port}`]);
    expect(second.admitted.map(({ what }) => what)).toEqual(
      expect.arrayContaining(["GET /ws", "POST /prompt"]),
    );
  } finally {
    await Promise.all([first.close(), second.close()]);
  }
}, 180_000);
