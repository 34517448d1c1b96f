import { v7 as uuidv7 } from "uuid";
import { type ServerLease, type ServerRecord, type ServerStore } from "@genga/jobs";
import { buildJob, buildProgress } from "../job-builders.ts";
import { type ContractStores, type TestRunner } from "./contract-stores.ts";

const leaseMs = 60_000;
const abilities = {
  ...{ cancelsById: true, namesPreviews: true, replacesNodes: true, hasAssets: false },
  uploadBytesMax: 104_857_600,
};

/** What every `ServerStore` must do. Registers the tests; `open` returns stores over an empty, migrated database. */
export function describeServerStore(runner: TestRunner, open: () => Promise<ContractStores>): void {
  const { afterAll, beforeAll, describe, expect, test } = runner;
  let stores: ContractStores;
  let store: ServerStore;

  beforeAll(async () => {
    stores = await open();
    store = stores.servers;
  });
  afterAll(async () => {
    await stores.close();
  });

  const register = async (count = 1): Promise<ServerRecord[]> =>
    await store.registerServers(
      Array.from({ length: count }, () => ({ url: `http://${uuidv7()}:8188`, slots: 2 })),
    );
  const freshServer = async (): Promise<ServerRecord> => {
    const [server] = await register();
    if (server === undefined) throw new Error("The server was not returned.");
    return server;
  };
  const acquire = async (
    server: { id: string },
    workerId = "worker-a",
    ms = leaseMs,
  ): Promise<ServerLease> => {
    const [lease] = await store.acquireServers(workerId, [server.id], 1, ms);
    if (lease === undefined) throw new Error("The server could not be acquired.");
    return lease;
  };
  const read = async (id: string): Promise<ServerRecord> => {
    const server = (await store.listServers()).find((listed) => listed.id === id);
    if (server === undefined) throw new Error(`Server ${id} is not listed.`);
    return server;
  };

  describe("registering", () => {
    test("gives each URL one row, in the given order, and updates its slots", async () => {
      const urls = [`http://b-${uuidv7()}`, `http://a-${uuidv7()}`];
      const first = await store.registerServers(urls.map((url) => ({ url, slots: 2 })));
      expect(first.map(({ url }) => url)).toEqual(urls);
      expect(first[0]).toMatchObject({
        ...{ slots: 2, state: "unknown", stateReason: null, draining: false, ownerId: null },
        ...{
          leaseNumber: 0,
          isLeased: false,
          leaseExpiresAt: null,
          definitionsHash: null,
          version: null,
          jobsHeld: 0,
        },
      });
      const again = await store.registerServers(urls.map((url) => ({ url, slots: 3 })));
      expect(again).toEqual(first.map((server) => ({ ...server, slots: 3 })));
    });

    test("is safe for workers that start together", async () => {
      const servers = Array.from({ length: 5 }, () => ({ url: `http://${uuidv7()}`, slots: 1 }));
      const results = await Promise.all([
        store.registerServers(servers),
        store.registerServers(servers.toReversed()),
        store.registerServers(servers),
      ]);
      expect(results[2]).toEqual(results[0]);
      expect(results[1]).toEqual(results[0].toReversed());
    });
  });

  describe("workers", () => {
    test("are counted if they were seen within the lease", async () => {
      const [a, b] = [uuidv7(), uuidv7()];
      const before = await store.renewWorker(a, [], leaseMs);
      const live = async (): Promise<string[]> =>
        (await store.listLiveWorkers(leaseMs)).map(({ id }) => id).filter((id) => id === a || id === b);
      expect(await store.renewWorker(b, [], leaseMs)).toBe(before + 1);
      expect(await store.renewWorker(a, [], leaseMs)).toBe(before + 1);
      expect(await live()).toEqual([a, b]);
      expect(await store.listLiveWorkers(0)).toEqual([]);
      expect(await store.renewWorker(a, [], 0)).toBe(1);
      await store.stopWorker(b);
      expect(await live()).toEqual([a]);
      expect(await store.renewWorker(a, [], leaseMs)).toBe(before);
      await store.stopWorker(a);
      await store.stopWorker(a);
    });
  });

  test("a worker records which servers it names, and its owned servers are counted", async () => {
    const id = uuidv7();
    const [first, second] = await register(2);
    await store.renewWorker(id, [first!.id, second!.id], leaseMs);
    await acquire(first!, id);
    const find = async (): Promise<unknown> =>
      (await store.listLiveWorkers(leaseMs)).find((worker) => worker.id === id);
    expect(await find()).toMatchObject({ serverIds: [first!.id, second!.id], serversOwned: 1 });
    await store.renewWorker(id, [second!.id], leaseMs);
    expect(await find()).toMatchObject({ serverIds: [second!.id], serversOwned: 1 });
    await store.stopWorker(id);
  });

  describe("owning", () => {
    test("takes only free servers of those that were named, and no more than the limit", async () => {
      const servers = await register(4);
      const ids = servers.slice(0, 3).map(({ id }) => id);
      const first = await store.acquireServers("worker-a", ids, 2, leaseMs);
      expect(first).toHaveLength(2);
      expect(first[0]?.server).toMatchObject({ ownerId: "worker-a", leaseNumber: 1, jobsHeld: 0 });
      const second = await store.acquireServers("worker-b", ids, 10, leaseMs);
      expect(second).toHaveLength(1);
      expect(await store.acquireServers("worker-c", ids, 10, leaseMs)).toEqual([]);
      expect((await read(servers[3]?.id ?? "")).ownerId).toBeNull();
    });

    test("releasing a server clears the state that its last owner saw", async () => {
      const server = await freshServer();
      const lease = await acquire(server);
      await store.setServerState(lease, "failing", "three jobs were lost");
      const seen = await read(server.id);
      expect(seen.leaseExpiresAt?.getTime()).toBeGreaterThan(seen.stateSince.getTime());
      await store.releaseServers("worker-a", [lease]);
      const released = await read(server.id);
      expect(released).toMatchObject({ state: "unknown", stateReason: null, leaseExpiresAt: null });
      expect(released.stateSince.getTime()).toBeGreaterThanOrEqual(seen.stateSince.getTime());
    });

    test("goes to one worker when many try to take a server", async () => {
      const server = await freshServer();
      const results = await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          store.acquireServers(`worker-${index}`, [server.id], 1, leaseMs),
        ),
      );
      expect(results.flat()).toHaveLength(1);
    });

    test("lets another worker take an expired server, whose last owner then cannot renew it", async () => {
      const server = await freshServer();
      const old = await acquire(server, "worker-a", 0);
      const taken = await acquire(server, "worker-b");
      expect(taken.leaseNumber).toBe(old.leaseNumber + 1);
      expect(await store.renewServers("worker-a", [old], leaseMs)).toEqual([]);
      await store.releaseServers("worker-a", [old]);
      expect(await read(server.id)).toMatchObject({ ownerId: "worker-b", isLeased: true });
    });

    test("renews an expired lease that no worker took", async () => {
      const lease = await acquire(await freshServer(), "worker-a", 0);
      const renewed = await store.renewServers("worker-a", [lease], leaseMs);
      expect(renewed).toEqual([{ serverId: lease.serverId, leaseNumber: lease.leaseNumber }]);
      expect(await store.acquireServers("worker-b", [lease.serverId], 1, leaseMs)).toEqual([]);
    });

    test("ends with a release: the server is free at once, also for those that take no expired ones", async () => {
      const server = await freshServer();
      const lease = await acquire(server, "worker-a", 0);
      const takeFree = () => store.acquireServers("worker-c", [server.id], 1, 0, { alsoExpired: false });
      expect(await takeFree()).toEqual([]);
      await store.releaseServers("worker-a", [lease]);
      const [free] = await takeFree();
      expect(free).toMatchObject({ serverId: server.id, leaseNumber: 2 });
      await store.releaseServers("worker-c", [free!]);
      expect(await read(server.id)).toMatchObject({ ownerId: null, isLeased: false });
      expect(await store.renewServers("worker-a", [lease], leaseMs)).toEqual([]);
      expect((await acquire(server, "worker-b")).leaseNumber).toBe(3);
    });
  });

  describe("what the owner reports", () => {
    test("is a state with its reason, and since when", async () => {
      const server = await freshServer();
      const lease = await acquire(server);
      expect(await store.setServerState(lease, "unreachable", "connection refused")).toBe(true);
      const first = await read(server.id);
      expect(first).toMatchObject({ state: "unreachable", stateReason: "connection refused" });
      expect(first.stateSince.getTime()).toBeGreaterThanOrEqual(server.stateSince.getTime());
      await store.setServerState(lease, "unreachable", "timed\0out");
      expect(await read(server.id)).toMatchObject({
        stateReason: "timed\ufffdout",
        stateSince: first.stateSince,
      });
    });

    test("is ignored once another worker owns the server, or no worker does", async () => {
      const server = await freshServer();
      const definitions = { hash: uuidv7(), objectInfo: {}, replacements: null };
      const old = await acquire(server, "worker-a", 0);
      const lease = await acquire(server, "worker-b");
      expect(await store.setServerState(old, "online", null)).toBe(false);
      expect(await store.saveDefinitions(old, definitions)).toBe(false);
      expect(await store.describeServer(old, { version: "0.28.0", abilities })).toBe(false);
      const model = { lane: "a", loadedModel: "a.safetensors", modelSince: new Date() };
      expect(await store.recordModel(old, model)).toBe(false);
      await store.releaseServers("worker-b", [lease]);
      expect(await store.setServerState(lease, "online", null)).toBe(false);
      expect(await store.saveDefinitions(lease, definitions)).toBe(false);
      expect(await read(server.id)).toMatchObject({
        ...{ state: "unknown", definitionsHash: null, version: null, abilities: null, lane: null },
      });
      expect(await store.findDefinitions(definitions.hash)).toBeNull();
    });

    test("tells the next owner what the server has loaded", async () => {
      const server = await freshServer();
      const lease = await acquire(server);
      const model = {
        lane: "a-1",
        loadedModel: "a.safetensors",
        modelSince: new Date("2026-11-26T04:00:00Z"),
      };
      expect(await store.recordModel(lease, model)).toBe(true);
      await store.releaseServers("worker-a", [lease]);
      const [taken] = await store.acquireServers("worker-b", [server.id], 1, 1_000);
      expect(taken?.server).toMatchObject(model);
      const nothing = { lane: null, loadedModel: null, modelSince: null };
      expect(await store.recordModel(taken!, nothing)).toBe(true);
      expect(await read(server.id)).toMatchObject(nothing);
    });

    test("includes its devices, which only its owner records", async () => {
      const server = await freshServer();
      expect(server).toMatchObject({ devices: null, isAdded: false });
      const lease = await acquire(server);
      const devices = [{ name: "cuda:0 NVIDIA", type: "cuda", totalBytes: 24e9, freeBytes: 3e9 }];
      expect(await store.recordDevices(lease, devices)).toBe(true);
      await store.releaseServers("worker-a", [lease]);
      expect(await store.recordDevices(lease, [])).toBe(false);
      expect(await read(server.id)).toMatchObject({ devices });
    });

    test("stores node definitions once by content, for all servers that have them", async () => {
      const [hash, objectInfo] = [uuidv7(), { KSampler: { input: { required: { seed: ["INT", {}] } } } }];
      const replacements = { Old: [{ new_node_id: "KSampler" }] };
      const leases = [await acquire(await freshServer()), await acquire(await freshServer())];
      const saved = leases.map((lease) => store.saveDefinitions(lease, { hash, objectInfo, replacements }));
      expect(await Promise.all(saved)).toEqual([true, true]);
      expect(await store.findDefinitions(hash)).toEqual({ objectInfo, replacements });
      for (const { serverId } of leases) {
        expect(await read(serverId)).toMatchObject({ definitionsHash: hash });
      }
    });

    test("names stored definitions in the row of another server, and says when they are not stored", async () => {
      const [hash, absent] = [uuidv7(), uuidv7()];
      const [server, other] = [await freshServer(), await freshServer()];
      const [lease, otherLease] = [await acquire(server), await acquire(other)];
      await store.saveDefinitions(lease, { hash, objectInfo: {}, replacements: null });
      expect(await store.nameDefinitions(otherLease, absent)).toBe("not-stored");
      expect(await read(other.id)).toMatchObject({ definitionsHash: null });
      expect(await store.nameDefinitions(otherLease, hash)).toBe("named");
      expect(await read(other.id)).toMatchObject({ definitionsHash: hash });
      expect(await store.nameDefinitions(otherLease, absent)).toBe("not-stored");
      expect(await read(other.id)).toMatchObject({ definitionsHash: hash });
      await store.releaseServers("worker-a", [otherLease]);
      expect(await store.nameDefinitions(otherLease, hash)).toBe("not-held");
    });

    test("removes definitions that no server has had for a while", async () => {
      const [server, other] = [await freshServer(), await freshServer()];
      const [lease, otherLease] = [await acquire(server), await acquire(other)];
      const [old, kept] = [uuidv7(), uuidv7()];
      const save = (to: ServerLease, hash: string): Promise<boolean> =>
        store.saveDefinitions(to, { hash, objectInfo: {}, replacements: null });
      for (const to of [lease, otherLease]) await save(to, old);
      await save(lease, kept);
      await store.removeUnusedDefinitions(0);
      expect(await store.findDefinitions(old)).not.toBeNull();
      await save(otherLease, kept);
      await store.removeUnusedDefinitions(60_000);
      expect(await store.findDefinitions(old)).not.toBeNull();
      await store.removeUnusedDefinitions(0);
      expect(await store.findDefinitions(old)).toBeNull();
      expect(await store.findDefinitions(kept)).not.toBeNull();
    });

    test("includes its version and abilities, which its next owner finds", async () => {
      const server = await freshServer();
      expect(server).toMatchObject({ version: null, abilities: null });
      const lease = await acquire(server);
      expect(await store.describeServer(lease, { version: "0.28.0", abilities })).toBe(true);
      expect(await read(server.id)).toMatchObject({ version: "0.28.0", abilities });
      await store.releaseServers("worker-a", [lease]);
      const [next] = await store.acquireServers("worker-b", [server.id], 1, leaseMs);
      expect(next?.server).toMatchObject({ version: "0.28.0", abilities });
    });
  });

  test("counts the jobs that hold one of a server's slots", async () => {
    const server = await freshServer();
    const tenant = await stores.tenants.defaultTenant();
    const jobs = await stores.jobRequests.insertJobs({
      tenantId: tenant.id,
      batch: null,
      jobs: [buildJob(), buildJob()],
    });
    const claims = jobs.map(({ id }) => ({
      ...{ jobId: id, attempt: 1, ticketNumber: 0, serverId: server.id },
      ...{ workerId: "worker-a", clientId: "client-a", promptId: uuidv7() },
    }));
    const leases = await stores.jobRuns.claimJobs(claims, leaseMs);
    expect((await read(server.id)).jobsHeld).toBe(2);
    const [saving] = leases;
    if (saving === undefined) throw new Error("Nothing was claimed.");
    await stores.jobRuns.recordProgress([{ ...saving, phase: "saving", progress: buildProgress(100) }]);
    expect((await read(server.id)).jobsHeld).toBe(1);
    await stores.jobRuns.endAttempt(saving, { kind: "completed", outputs: [] });
    expect((await read(server.id)).jobsHeld).toBe(1);
  });

  test("keeps an operator's request to drain a server", async () => {
    const server = await freshServer();
    expect(await store.setDraining(server.id, true)).toBe(true);
    expect((await read(server.id)).draining).toBe(true);
    expect(await store.setDraining(server.id, false)).toBe(true);
    expect((await read(server.id)).draining).toBe(false);
    expect(await store.setDraining(uuidv7(), true)).toBe(false);
    expect(await store.setDraining("no-uuid", true)).toBe(false);
  });

  test("gives a named lease to one process at a time", async () => {
    const name = uuidv7();
    const reached = ["a", "b", "c"].map((owner) => store.acquireNamedLease(name, owner, leaseMs));
    const winners = (await Promise.all(reached)).filter(Boolean);
    expect(winners).toHaveLength(1);
    const other = uuidv7();
    expect(await store.acquireNamedLease(other, "a", leaseMs)).toBe(true);
    expect(await store.acquireNamedLease(other, "a", 0)).toBe(true);
    expect(await store.acquireNamedLease(other, "b", leaseMs)).toBe(true);
    expect(await store.acquireNamedLease(other, "a", leaseMs)).toBe(false);
  });
}
