import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import {
  webhookEventTypes,
  type DeliveryResult,
  type DueDelivery,
  type Job,
  type WebhookDelivery,
  type WebhookQueue,
} from "@genga/jobs";
import { buildJob } from "@genga/testing";
import { takeStatement } from "../src/webhooks/take-deliveries.ts";
import { rowsRead } from "./read-rows.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;
/** Keeps transactions open. */
let other: pg.Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  other = new pg.Client({ connectionString: stores.url });
  await Promise.all([client.connect(), other.connect()]);
});
afterAll(async () => {
  await Promise.all([client.end(), other.end()]);
  await stores.close();
});
beforeEach(async () => {
  tenantId = await tenantNamed(`tenant-${uuidv7()}`);
});
afterEach(async () => {
  await other.query("ROLLBACK");
  await client.query(
    "UPDATE webhook_deliveries SET status = 'failed', ended_at = now() WHERE status = 'pending'",
  );
});

type TakeLimits = Parameters<WebhookQueue["take"]>[0];
type UnderWay = Parameters<WebhookQueue["take"]>[1];
const limits: TakeLimits = { total: 100, ofTenant: 100, ofWebhook: 100 };
const idle: UnderWay = { byWebhook: new Map(), byTenant: new Map() };
const dayMs = 24 * 60 * 60_000;
const failure = (retryInMs: number | null): DeliveryResult => ({
  ...{ kind: "failed", status: 500, error: "The receiver answered 500.", retryInMs, isGone: false },
});

async function tenantNamed(name: string): Promise<string> {
  const [tenant] = await stores.tenants.ensureTenants([name]);
  return tenant!.id;
}

async function insert(count: number, { isBatch = false, of = tenantId } = {}): Promise<Job[]> {
  const jobs = Array.from({ length: count }, (_, index) => buildJob({ batchIndex: isBatch ? index : null }));
  const batch = isBatch ? { id: uuidv7(), name: "a batch" } : null;
  return await stores.jobRequests.insertJobs({ tenantId: of, batch, jobs });
}

async function addWebhook(of = tenantId, events = [...webhookEventTypes]): Promise<string> {
  const id = uuidv7();
  const webhook = { id, url: "https://studio.example/", events, sealedSecret: Buffer.from("sealed") };
  await stores.webhooks.addWebhook(of, webhook, 100);
  return id;
}

async function passOn(limit = 1_000): Promise<number> {
  let made = 0;
  for (;;) {
    const { events, deliveries } = await stores.eventSequencer.assignPositions(limit);
    made += deliveries;
    if (events === 0) return made;
  }
}

async function deliveries(webhookId: string): Promise<WebhookDelivery[]> {
  const page = await stores.webhooks.listDeliveries(tenantId, webhookId, { limit: 200 });
  return page!.items.toReversed();
}

const take = (given: Partial<TakeLimits> = {}, underWay = idle, leaseMs = 60_000): Promise<DueDelivery[]> =>
  stores.webhookQueue.take({ ...limits, ...given }, underWay, leaseMs);

describe("Deliveries", () => {
  test("are made of the events that a webhook wants, once, with ids that follow from the events", async () => {
    const [all, some] = [await addWebhook(), await addWebhook(tenantId, ["job.failed"])];
    const [job] = await insert(1);
    await stores.jobRequests.requestCancel(job!.id);
    expect(await passOn()).toBe(1);
    expect(await passOn()).toBe(0);
    const messageId = `msg_${job!.id.replaceAll("-", "")}_2`;
    expect(await deliveries(all)).toMatchObject([
      { type: "job.cancelled", messageId, status: "pending", attempts: 0 },
    ]);
    expect(await deliveries(some)).toEqual([]);
    const [due] = await take();
    expect(due).toMatchObject({ attempt: 1, messageId, webhook: { id: all, tenantId } });
    expect(due!.facts).toMatchObject({
      job: { id: job!.id, status: "cancelled", attempt: 0, batchId: null, outputs: [], outputCount: 0 },
    });
  });

  test("are made of transactions in whatever order they commit, while many processes pass on", async () => {
    const webhook = await addWebhook();
    const jobs = await insert(60);
    await other.query("BEGIN");
    await other.query(
      `WITH job AS (UPDATE jobs SET event_sequence = event_sequence + 1 WHERE id = $1 RETURNING *)
       INSERT INTO job_events (job_id, sequence, type, attempt) SELECT id, event_sequence, 'executing', attempt FROM job`,
      [jobs[0]!.id],
    );
    let isWriting = true;
    const passing = [3, 7].map(async (limit) => {
      while (isWriting) await stores.eventSequencer.assignPositions(limit);
    });
    await Promise.all(jobs.slice(1).map(({ id }) => stores.jobRequests.requestCancel(id)));
    await other.query("COMMIT");
    isWriting = false;
    await Promise.all(passing);
    await passOn();
    const made = await deliveries(webhook);
    expect(made.map(({ messageId }) => messageId).toSorted()).toEqual(
      jobs.map(({ id }) => `msg_${id.replaceAll("-", "")}_2`).toSorted(),
    );
    expect(made.filter(({ type }) => type === "job.started")).toHaveLength(1);
  });

  test("go to no other tenant's webhooks, nor to disabled or removed ones", async () => {
    const stranger = await tenantNamed(`stranger-${uuidv7()}`);
    await addWebhook(stranger);
    const [disabled, removed] = [await addWebhook(), await addWebhook()];
    await stores.webhooks.changeWebhook(tenantId, disabled, { enabled: false });
    await stores.webhooks.removeWebhook(tenantId, removed);
    const [job] = await insert(1);
    await stores.jobRequests.requestCancel(job!.id);
    expect(await passOn()).toBe(0);
  });

  test("of a job that is removed at once are made before it goes", async () => {
    const webhook = await addWebhook();
    const [single] = await insert(1);
    const batch = await insert(3, { isBatch: true });
    for (const { id } of [single!, ...batch]) await stores.jobRequests.requestCancel(id);
    await stores.jobRequests.removeJob(single!.id);
    await stores.jobRequests.removeJob(batch[0]!.id);
    expect((await stores.keeping.removeEnded([batch[1]!.id, batch[2]!.id])).length).toBe(2);
    expect((await deliveries(webhook)).map(({ type }) => type).toSorted()).toEqual(
      ["batch.ended", ...Array<string>(4).fill("job.cancelled")].toSorted(),
    );
    expect(await passOn()).toBe(0);
  });
});

describe("The end of a batch", () => {
  const endsOf = async (webhook: string): Promise<WebhookDelivery[]> =>
    (await deliveries(webhook)).filter(({ type }) => type === "batch.ended");

  test("is told once, after its last job, however few events are passed on at a time", async () => {
    const webhook = await addWebhook();
    const jobs = await insert(5, { isBatch: true });
    for (const { id } of jobs.slice(1)) await stores.jobRequests.requestCancel(id);
    await passOn(1);
    expect(await endsOf(webhook)).toEqual([]);
    await stores.jobRequests.requestCancel(jobs[0]!.id);
    await passOn(1);
    expect(await endsOf(webhook)).toHaveLength(1);
    expect((await deliveries(webhook)).at(-1)?.type).toBe("batch.ended");
    const due = await take();
    expect(due.at(-1)!.facts).toMatchObject({
      batch: { id: jobs[0]!.batchId, name: "a batch", total: 5, counts: { cancelled: 5 } },
    });
  });

  test("is told again when a job is retried and ends once more", async () => {
    const webhook = await addWebhook();
    const jobs = await insert(2, { isBatch: true });
    for (const { id } of jobs) await stores.jobRequests.requestCancel(id);
    await passOn();
    await stores.jobRequests.retryJob(jobs[0]!.id);
    await passOn();
    expect(await endsOf(webhook)).toHaveLength(1);
    await stores.jobRequests.requestCancel(jobs[0]!.id);
    await passOn();
    const ends = await endsOf(webhook);
    expect(ends).toHaveLength(2);
    expect(new Set(ends.map(({ messageId }) => messageId)).size).toBe(2);
  });

  test("is told once when all of its jobs end at the same time and several processes pass on", async () => {
    const webhook = await addWebhook();
    const batches = await Promise.all(Array.from({ length: 8 }, () => insert(4, { isBatch: true })));
    let isWriting = true;
    const passing = [1, 2].map(async (limit) => {
      while (isWriting) await stores.eventSequencer.assignPositions(limit);
    });
    await Promise.all(batches.flat().map(({ id }) => stores.jobRequests.requestCancel(id)));
    isWriting = false;
    await Promise.all(passing);
    await passOn(3);
    expect(await endsOf(webhook)).toHaveLength(8);
  });
});

describe("Taking", () => {
  async function makeDue(count: number, of = tenantId): Promise<void> {
    const jobs = await insert(count, { of });
    await Promise.all(jobs.map(({ id }) => stores.jobRequests.requestCancel(id)));
    await passOn();
  }

  test("gives each delivery to one process at a time", async () => {
    await addWebhook();
    await makeDue(30);
    const taken = (await Promise.all([take(), take(), take()])).flat();
    expect(taken).toHaveLength(30);
    expect(new Set(taken.map(({ id }) => id)).size).toBe(30);
    expect(await take()).toEqual([]);
  });

  test("gives what a dead process had to another one, whose record alone counts", async () => {
    const webhook = await addWebhook();
    await makeDue(1);
    const [first] = await take({}, idle, 0);
    const [second] = await take();
    expect(second).toMatchObject({ id: first!.id, attempt: 2, messageId: first!.messageId });
    expect(await stores.webhookQueue.record(first!, failure(null), dayMs)).toMatchObject({
      isRecorded: false,
    });
    expect(await deliveries(webhook)).toMatchObject([{ status: "pending", nextAttemptAt: null }]);
    expect(
      await stores.webhookQueue.record(second!, { kind: "delivered", status: 204 }, dayMs),
    ).toMatchObject({
      isRecorded: true,
    });
    expect(await stores.webhookQueue.record(second!, failure(null), dayMs)).toMatchObject({
      isRecorded: false,
    });
    expect(await deliveries(webhook)).toMatchObject([
      { status: "delivered", attempts: 2, lastStatus: 204, lastError: null },
    ]);
  });

  test("lets no tenant wait for another one's backlog, and no webhook have all requests", async () => {
    const small = await tenantNamed(`small-${uuidv7()}`);
    const [one, two, ofSmall] = [await addWebhook(), await addWebhook(), await addWebhook(small)];
    await makeDue(20);
    await makeDue(3, small);
    const few = { total: 8, ofTenant: 6, ofWebhook: 4 };
    const taken = await take(few);
    const countOf = (webhookId: string): number =>
      taken.filter(({ webhook }) => webhook.id === webhookId).length;
    expect(countOf(ofSmall)).toBe(3);
    for (const webhook of [one, two]) expect(countOf(webhook)).toBeLessThanOrEqual(4);
    // One that has as many requests under way as it may leaves the rest to the other one.
    const underWay = { byWebhook: new Map([[one, 4]]), byTenant: new Map([[tenantId, 4]]) };
    expect((await take(few, underWay)).map(({ webhook }) => webhook.id)).toEqual([two, two]);
  });

  test("keeps no place for tenants that may send no more, and not all places for backlogs", async () => {
    const full = await Promise.all(Array.from({ length: 20 }, () => tenantNamed(`full-${uuidv7()}`)));
    await Promise.all(full.map((of) => addWebhook(of)));
    const small = await tenantNamed(`small-${uuidv7()}`);
    const ofSmall = await addWebhook(small);
    await Promise.all(Array.from({ length: 6 }, () => addWebhook()));
    await client.query(
      `INSERT INTO webhook_deliveries (webhook_id, tenant_id, message_id, type, facts, occurred_at, due_at, in_backlog)
       SELECT id, tenant_id, id || '-' || i, 'job.completed', '{}', now(), now() - interval '1 minute', tenant_id = $1
       FROM webhooks CROSS JOIN generate_series(1, 3) i WHERE tenant_id = ANY($2)`,
      [tenantId, [...full, small, tenantId]],
    );
    const busy = { byWebhook: new Map(), byTenant: new Map(full.map((id) => [id, 1])) };
    const taken = (await take({ total: 2, ofTenant: 1, ofWebhook: 2 }, busy)).map(
      ({ webhook }) => webhook.id,
    );
    expect(taken).toHaveLength(2);
    expect(taken).toContain(ofSmall);
  });

  test("gives up what waits for a webhook that was disabled or removed", async () => {
    const [webhook, removed] = [await addWebhook(), await addWebhook()];
    await makeDue(1);
    await stores.webhooks.changeWebhook(tenantId, webhook, { enabled: false });
    await stores.webhooks.removeWebhook(tenantId, removed);
    expect(await take()).toEqual([]);
    expect(await deliveries(webhook)).toMatchObject([
      { status: "failed", attempts: 0, lastError: expect.stringContaining("disabled") as unknown },
    ]);
    expect(await stores.webhooks.listDeliveries(tenantId, removed, { limit: 1 })).toBeNull();
    expect((await stores.webhookQueue.look()).dueInMs).toBeNull();
  });

  test("of one webhook does not wait for the backlog of others that are off", async () => {
    const [disabled, removed] = [await addWebhook(), await addWebhook()];
    await makeDue(150);
    const [on, waiting] = [await addWebhook(), await addWebhook(tenantId, ["job.started"])];
    await makeDue(1);
    await client.query(
      `INSERT INTO webhook_deliveries (webhook_id, tenant_id, message_id, type, facts, occurred_at, due_at)
       VALUES ($1, $2, 'later', 'job.started', '{}', now(), now() + interval '1 hour')`,
      [disabled, tenantId],
    );
    await stores.webhooks.changeWebhook(tenantId, disabled, { enabled: false });
    await stores.webhooks.removeWebhook(tenantId, removed);
    const few = { total: 8, ofTenant: 4, ofWebhook: 2 };
    expect((await take(few)).map(({ webhook }) => webhook.id)).toEqual([on]);
    const { rows } = await client.query(
      `SELECT webhook_id, status, count(*)::int, bool_and(due_at > now() + interval '30 min') AS later FROM webhook_deliveries
       WHERE webhook_id = ANY($1) GROUP BY 1, 2 ORDER BY 1, 2`,
      [[disabled, removed, waiting]],
    );
    // What is due later is given up later: it may be under way.
    expect(rows).toMatchObject([
      { webhook_id: disabled, status: "pending", count: 1, later: true },
      { webhook_id: disabled, status: "failed", count: 151 },
      { webhook_id: removed, status: "failed", count: 151 },
    ]);
  });

  test("does not read the backlog of a webhook that has as many requests under way as it may", async () => {
    const full = await addWebhook();
    await makeDue(60);
    const [few, later] = [{ total: 8, ofTenant: 8, ofWebhook: 4 }, "now() + interval '1 hour'"];
    const { rows } = await client.query<{ count: number }>(
      `WITH backlog AS (SELECT * FROM webhook_deliveries WHERE webhook_id = $1 AND in_backlog), copy AS (
         INSERT INTO webhook_deliveries (webhook_id, tenant_id, message_id, type, facts, occurred_at, in_backlog)
         SELECT webhook_id, tenant_id, message_id || '-' || i, type, facts, occurred_at, true
         FROM (SELECT * FROM backlog LIMIT 1) one CROSS JOIN generate_series(1, 20000) i)
       SELECT count(*)::int FROM backlog`,
      [full],
    );
    // Ten jobs waited beyond the first fifty.
    expect(rows).toEqual([{ count: 10 }]);
    const other = await addWebhook();
    await makeDue(2);
    await client.query("ANALYZE webhook_deliveries");
    const underWay = { byWebhook: new Map([[full, 4]]), byTenant: new Map([[tenantId, 4]]) };
    const read = async (busy: UnderWay): Promise<number> => {
      await client.query("BEGIN");
      const count = await rowsRead(client, "webhook_deliveries", takeStatement(few, busy, 60_000));
      await client.query("ROLLBACK");
      return count;
    };
    expect(await read(underWay)).toBeLessThan(150);
    expect(await read(idle)).toBeLessThan(150);
    expect((await take(few, underWay)).map(({ webhook }) => webhook.id)).toEqual([other, other]);
    // What is in the backlog is taken like the rest.
    await client.query(
      `UPDATE webhook_deliveries SET due_at = ${later} WHERE webhook_id = $1 AND NOT in_backlog`,
      [full],
    );
    expect((await take(few)).map(({ webhook }) => webhook.id)).toEqual([full, full, full, full]);
    await client.query("DELETE FROM webhook_deliveries WHERE webhook_id = $1", [full]);
  });

  test("waits until a failed delivery is due again, and says for how long", async () => {
    await addWebhook();
    await makeDue(1);
    const [due] = await take();
    await stores.webhookQueue.record(due!, failure(60_000), dayMs);
    expect(await take()).toEqual([]);
    const { dueInMs } = await stores.webhookQueue.look();
    expect(dueInMs).toBeGreaterThan(30_000);
    expect(dueInMs).toBeLessThanOrEqual(60_000);
    expect(await stores.webhooks.redeliver(tenantId, due!.id)).toMatchObject({ status: "pending" });
    expect(await take()).toMatchObject([{ id: due!.id, attempt: 2 }]);
    // It is under way now, so that another request for it changes nothing.
    await stores.webhooks.redeliver(tenantId, due!.id);
    expect(await take()).toEqual([]);
  });
});

describe("A webhook", () => {
  async function attempts(results: DeliveryResult[], disableAfterMs = dayMs): Promise<boolean[]> {
    const disabled: boolean[] = [];
    for (const result of results) {
      const [job] = await insert(1);
      await stores.jobRequests.requestCancel(job!.id);
      await passOn();
      const [due] = await take();
      disabled.push((await stores.webhookQueue.record(due!, result, disableAfterMs)).isDisabled);
    }
    return disabled;
  }
  /** Deliveries whose attempts are under way. */
  async function takeAttempts(count: number): Promise<DueDelivery[]> {
    for (const { id } of await insert(count)) await stores.jobRequests.requestCancel(id);
    await passOn();
    return await take();
  }
  const success: DeliveryResult = { kind: "delivered", status: 200 };

  test("is disabled when nothing but failures came for long enough, and a success begins the time anew", async () => {
    const webhook = await addWebhook();
    const failingFor = (ms: number): Promise<unknown> =>
      client.query("UPDATE webhooks SET failing_since = now() - $2 * interval '1 ms' WHERE id = $1", [
        webhook,
        ms,
      ]);
    expect(await attempts([failure(null), failure(null)])).toEqual([false, false]);
    await failingFor(2 * dayMs);
    expect(await attempts([success, failure(null)])).toEqual([false, false]);
    await failingFor(2 * dayMs);
    expect(await attempts([failure(null)])).toEqual([true]);
    expect(await stores.webhooks.findWebhook(tenantId, webhook)).toMatchObject({
      disabled: { reason: "failing" },
    });
    const enabled = await stores.webhooks.changeWebhook(tenantId, webhook, { enabled: true });
    expect(enabled).toMatchObject({ disabled: null, failingSince: null });
    expect(await attempts([failure(null)])).toEqual([false]);
  });

  test("is disabled at once when its receiver is gone", async () => {
    const webhook = await addWebhook();
    const gone: DeliveryResult = {
      kind: "failed",
      status: 410,
      error: "gone",
      retryInMs: null,
      isGone: true,
    };
    expect(await attempts([gone])).toEqual([true]);
    expect(await stores.webhooks.findWebhook(tenantId, webhook)).toMatchObject({
      disabled: { reason: "gone" },
    });
    expect(await stores.webhooks.addTest(tenantId, webhook)).toBe("disabled");
  });

  test("is not changed by what the receiver at an earlier URL of it answered", async () => {
    const webhook = await addWebhook();
    const [gone, failed, delivered] = await takeAttempts(3);
    expect(await attempts([failure(null)])).toEqual([false]);
    await stores.webhooks.changeWebhook(tenantId, webhook, { url: "https://studio.example/new" });
    const of = async (): Promise<unknown> => await stores.webhooks.findWebhook(tenantId, webhook);
    const isGone = { ...failure(null), status: 410, isGone: true };
    expect(await stores.webhookQueue.record(gone!, isGone, dayMs)).toEqual({
      ...{ isRecorded: true, isDisabled: false },
    });
    await stores.webhookQueue.record(failed!, failure(null), dayMs);
    expect(await of()).toMatchObject({ disabled: null, failingSince: null });
    expect(await attempts([failure(null)])).toEqual([false]);
    await stores.webhookQueue.record(delivered!, { kind: "delivered", status: 200 }, dayMs);
    expect(await of()).toMatchObject({ failingSince: expect.any(Date) as unknown });
  });

  test("is one of a bounded number, also when two requests come at once", async () => {
    const add = (): Promise<unknown> =>
      stores.webhooks.addWebhook(
        tenantId,
        {
          id: uuidv7(),
          url: "https://studio.example/",
          events: ["job.failed"],
          sealedSecret: Buffer.from("s"),
        },
        2,
      );
    const added = await Promise.all([add(), add(), add(), add()]);
    expect(added.filter((each) => each === "full")).toHaveLength(2);
    expect(await stores.webhooks.listWebhooks(tenantId)).toHaveLength(2);
  });

  test("has one test waiting at a time", async () => {
    const webhook = await addWebhook();
    const tests = await Promise.all([1, 2, 3].map(() => stores.webhooks.addTest(tenantId, webhook)));
    expect(new Set(tests.map((each) => (each as WebhookDelivery).id)).size).toBe(1);
  });

  test("is removed with its old deliveries, and not before they are gone", async () => {
    const webhook = await addWebhook();
    await attempts([success]);
    await stores.webhooks.removeWebhook(tenantId, webhook);
    const count = async (): Promise<number | null> =>
      (await client.query("SELECT FROM webhooks WHERE id = $1", [webhook])).rowCount;
    await stores.webhookQueue.removeOld(dayMs, 1_000);
    expect(await count()).toBe(1);
    await stores.webhookQueue.removeOld(-1, 1_000);
    expect(await count()).toBe(0);
  });
});
