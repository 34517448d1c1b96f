import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { openDatabase, type Database } from "@genga/database";
import { StoreUnavailableError, type AttemptEnd, type LeasedJob } from "@genga/jobs";
import { buildFailure, buildJob, buildOutput, startTcpProxy, type TcpProxy } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let direct: Awaited<ReturnType<typeof openTestStores>>;
let proxy: TcpProxy;
let database: Database;
let operator: pg.Client;

beforeEach(async () => {
  direct = await openTestStores();
  proxy = await startTcpProxy({ targetUrl: direct.url });
  database = openDatabase({
    databaseUrl: proxy.url,
    poolMax: 2,
    statementTimeoutMs: 1_000,
    applicationName: "under-test",
  });
  operator = new pg.Client({ connectionString: direct.url });
  await operator.connect();
});
afterEach(async () => {
  await database.close();
  await operator.end();
  await proxy.close();
  await direct.close();
});

async function running(): Promise<LeasedJob> {
  const tenant = await direct.tenants.defaultTenant();
  const [job] = await direct.jobRequests.insertJobs({ tenantId: tenant.id, batch: null, jobs: [buildJob()] });
  const [server] = await direct.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const claim = { jobId: job!.id, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
  const claims = [{ ...claim, workerId: "worker-a", clientId: "client-a" }];
  const [lease] = await direct.jobRuns.claimJobs(claims, 60_000);
  return lease!;
}

/** Resolves once that many statements of the database under test wait for a lock. */
async function untilWaiting(count: number): Promise<void> {
  const waiting = `SELECT 1 FROM pg_stat_activity WHERE application_name = 'under-test' AND wait_event_type = 'Lock'`;
  do await operator.query("SELECT pg_stat_clear_snapshot()");
  while ((await operator.query(waiting)).rowCount !== count);
}

describe("With Postgres away", () => {
  test("every store throws at once, and works again by itself", async () => {
    await database.ping();
    await proxy.cut();
    for (const call of [
      () => database.ping(),
      () => database.jobRuns.findJob(uuidv7()),
      () => database.jobRequests.insertJobs({ tenantId: uuidv7(), batch: null, jobs: [buildJob()] }),
      () => database.jobRequests.removeJob(uuidv7()),
      () => database.servers.listServers(),
      () => database.tenants.defaultTenant(),
    ]) {
      await expect(call()).rejects.toThrow(StoreUnavailableError);
    }
    await proxy.restore();
    await database.ping();
    expect(await database.jobRuns.findJob(uuidv7())).toBeNull();
  });

  test("a statement that gets no answer is given up, and the connection with it", async () => {
    await database.ping();
    proxy.freeze();
    const startedAt = performance.now();
    await expect(database.jobRuns.findJob(uuidv7())).rejects.toThrow(StoreUnavailableError);
    expect(performance.now() - startedAt).toBeLessThan(6_000);
    proxy.thaw();
    expect(await database.jobRuns.findJob(uuidv7())).toBeNull();
  });

  test("a ping ends with its signal", async () => {
    await database.ping();
    proxy.freeze();
    const stopping = new AbortController();
    const ping = database.ping(stopping.signal);
    stopping.abort(new Error("no longer needed"));
    await expect(ping).rejects.toThrow("no longer needed");
    proxy.thaw();
  });

  test("a session that an operator ended is unavailable, not broken", async () => {
    const lease = await running();
    await operator.query("BEGIN");
    await operator.query("SELECT 1 FROM jobs FOR UPDATE");
    const renewed = expect(database.jobRuns.renewLeases([lease], 60_000)).rejects.toThrow(
      StoreUnavailableError,
    );
    await untilWaiting(1);
    await operator.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'under-test'",
    );
    await renewed;
    await operator.query("ROLLBACK");
    expect((await database.jobRuns.renewLeases([lease], 60_000)).held).toHaveLength(1);
  });

  test("a batch whose session an operator ended was not stored, and the next one is", async () => {
    const { id: tenantId } = await direct.tenants.defaultTenant();
    // More than one statement inserts.
    const accept = (): Promise<unknown> => {
      const jobs = Array.from({ length: 501 }, () => buildJob());
      return database.jobRequests.insertJobs({ tenantId, batch: { id: uuidv7(), name: null }, jobs });
    };
    await accept();
    await operator.query("BEGIN");
    await operator.query("SELECT 1 FROM tenants FOR UPDATE");
    const refused = expect(accept()).rejects.toThrow(StoreUnavailableError);
    await untilWaiting(1);
    await operator.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'under-test'",
    );
    await refused;
    await operator.query("ROLLBACK");
    await accept();
    expect((await direct.jobReader.of(tenantId).summarizeQueue()).counts.queued).toBe(1_002);
  });

  test("a statement that waits too long for a lock is unavailable, and changes nothing later", async () => {
    const lease = await running();
    await operator.query("BEGIN");
    await operator.query("SELECT 1 FROM jobs FOR UPDATE");
    await expect(database.jobRuns.endAttempt(lease, { kind: "cancelled" })).rejects.toThrow(
      StoreUnavailableError,
    );
    await operator.query("ROLLBACK");
    expect(await direct.jobRuns.findJob(lease.jobId)).toMatchObject({ status: "processing" });
  });

  test("when no connection is free in time, that is unavailable too", async () => {
    const lease = await running();
    const narrow = openDatabase({
      databaseUrl: direct.url,
      poolMax: 1,
      statementTimeoutMs: 3_000,
      applicationName: "under-test",
    });
    await operator.query("BEGIN");
    await operator.query("SELECT 1 FROM jobs FOR UPDATE");
    const holding = narrow.jobRuns.releaseLeases([lease]);
    await untilWaiting(1);
    await expect(narrow.ping()).rejects.toThrow(StoreUnavailableError);
    await operator.query("ROLLBACK");
    await holding;
    await narrow.close();
  });

  test("leases are renewed while every connection of the pool is taken by other statements", async () => {
    const [stuck, lease] = [await running(), await running()];
    const [server] = await direct.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
    const [owned] = await direct.servers.acquireServers("worker-a", [server!.id], 1, 60_000);
    await operator.query("BEGIN");
    await operator.query("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE", [stuck.jobId]);
    // Two statements on two connections wait for the row.
    const waiting = [1, 2].map(() =>
      expect(database.jobRequests.requestCancel(stuck.jobId)).rejects.toThrow(StoreUnavailableError),
    );
    await untilWaiting(2);
    expect((await database.jobRuns.renewLeases([lease], 60_000)).held).toHaveLength(1);
    expect(await database.servers.renewServers("worker-a", [owned!], 60_000)).toHaveLength(1);
    expect(await database.servers.renewWorker("worker-a", [], 60_000)).toBe(1);
    await Promise.all(waiting);
    await operator.query("ROLLBACK");
  });

  test.each<[string, AttemptEnd]>([
    ["completed", { kind: "completed", outputs: [buildOutput()] }],
    [
      "queued",
      {
        ...{ kind: "requeue", delayMs: 0, charged: false, avoidServer: false },
        failure: buildFailure({ class: "server" }),
      },
    ],
  ])("an end whose answer was lost is found again when it is repeated (%s)", async (status, end) => {
    const lease = await running();
    await operator.query("BEGIN");
    await operator.query("SELECT 1 FROM jobs FOR UPDATE");
    const lost = expect(database.jobRuns.endAttempt(lease, end)).rejects.toThrow(StoreUnavailableError);
    await untilWaiting(1);
    await proxy.cut();
    await lost;
    // The statement still waits in PostgreSQL, which did not notice the broken connection, and takes effect now.
    await operator.query("ROLLBACK");
    await proxy.restore();
    expect(await database.jobRuns.endAttempt(lease, end)).toMatchObject({ held: true, status });
    const types = (await direct.jobReader.of(lease.job.tenantId).listEvents(lease.jobId, 0, 100)).map(
      ({ type }) => type,
    );
    expect(types).toEqual(["accepted", "claimed", status === "queued" ? "requeued" : status]);
    expect(await direct.jobReader.of(lease.job.tenantId).listOutputs(lease.jobId)).toHaveLength(
      status === "completed" ? 1 : 0,
    );
  });

  test("closing twice is closing once", async () => {
    await database.ping();
    await Promise.all([database.close(), database.close()]);
    await expect(database.ping()).rejects.toThrow();
  });
});
