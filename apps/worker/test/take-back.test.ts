import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { sleepJob, startTwoServers, type TwoServers } from "./support/two-servers.ts";

// A prompt that waits behind a long one, and a server that falls idle.

describe.each([
  ["of one worker", 1],
  ["of two workers", 2],
])("two servers %s", (_, workers) => {
  let farm: TwoServers;
  beforeAll(async () => {
    farm = await startTwoServers({ workers, env: { SERVER_SLOTS: "4" } });
  }, 180_000);
  afterAll(async () => {
    await farm.stop();
  }, 180_000);

  test("a waiting prompt begins on a server that falls idle, long before its own server is free", async () => {
    const { api } = farm;
    await farm.drainEmpty();
    const long = await farm.putOnBusy(sleepJob(60), "executing");
    const waiting = await farm.putOnBusy(sleepJob(0.2));
    const fellIdleAt = performance.now();
    await farm.resumeEmpty();
    expect(await api.untilEnded(waiting)).toMatchObject({ status: "completed", attempt: 2, failure: null });
    expect(performance.now() - fellIdleAt).toBeLessThan(20_000);
    expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });

    expect(await farm.attempts(waiting)).toMatchObject([
      { serverId: farm.busy.id, outcome: "requeued", code: "taken-back" },
      { serverId: farm.empty.id, outcome: "completed", code: null },
    ]);
    expect(await farm.executionsOf(waiting)).toBe(1);
    expect(await farm.jobRow(waiting)).toMatchObject({ attempts_charged: 0, crash_count: 0 });
    expect((await farm.eventTypes(waiting)).slice(0, 5)).toEqual([
      ...["accepted", "claimed", "submitted", "requeued", "claimed"],
    ]);
    await api.cancel(long);
    await api.untilEnded(long);
  }, 180_000);

  test("a server that is drained ends what it runs; what waits behind that is given back at once", async () => {
    const { api } = farm;
    await farm.drainEmpty();
    const long = await farm.putOnBusy(sleepJob(60), "executing");
    const waiting: string[] = [];
    for (let count = 0; count < 3; count += 1) waiting.push(await farm.putOnBusy(sleepJob(0.2)));
    await api.request("POST", `servers/${farm.busy.id}/drain`);
    for (const id of waiting) {
      expect(await api.until(id, ({ status }) => status === "queued")).toMatchObject({ failure: null });
      expect(await farm.attempts(id)).toMatchObject([
        { serverId: farm.busy.id, outcome: "requeued", code: "given-back" },
      ]);
    }
    await farm.resumeEmpty();
    for (const id of waiting) {
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
      expect(await farm.executionsOf(id)).toBe(1);
      expect(await farm.jobRow(id)).toMatchObject({ attempts_charged: 0, crash_count: 0 });
    }
    expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
    await api.cancel(long);
    await api.untilEnded(long);
    await api.request("POST", `servers/${farm.busy.id}/resume`);
  }, 180_000);
});

describe("a waiting prompt", () => {
  let farm: TwoServers;
  let long: string;
  beforeAll(async () => {
    farm = await startTwoServers();
    await farm.drainEmpty();
    // The busy server has loaded the model.
    await farm.api.untilEnded(await farm.api.submit(image));
  }, 180_000);
  afterAll(async () => {
    await farm.stop();
  }, 180_000);

  const image = { type: "image", prompt: "x", width: 256, height: 256, steps: 1 };

  /** A job executes for some seconds, this one waits behind it, and jobs were measured like this. */
  async function waitBehind(job: object, measures: { runMs: number; loadMs: number }): Promise<string> {
    await farm.drainEmpty();
    long = await farm.putOnBusy(sleepJob(4), "executing");
    const waiting = await farm.putOnBusy(job);
    const { runMs, loadMs } = measures;
    await farm.database.query("UPDATE lanes SET run_ms = $1, load_ms = $2, runs = 100", [runMs, loadMs]);
    return waiting;
  }

  async function expectItStays(waiting: string): Promise<void> {
    expect(await farm.api.untilEnded(waiting)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await farm.attempts(waiting)).toMatchObject([{ serverId: farm.busy.id, outcome: "completed" }]);
    expect(await farm.executionsOf(waiting)).toBe(1);
    await farm.api.untilEnded(long);
  }

  test("stays when the other server would load for longer than it waits, and goes when it would not", async () => {
    const stays = await waitBehind(image, { runMs: 4_000, loadMs: 60_000 });
    await farm.resumeEmpty();
    await expectItStays(stays);

    const goes = await waitBehind(image, { runMs: 60_000, loadMs: 1_000 });
    await farm.resumeEmpty();
    expect(await farm.api.untilEnded(goes)).toMatchObject({ status: "completed", attempt: 2 });
    expect(await farm.attempts(goes)).toMatchObject([{ code: "taken-back" }, { serverId: farm.empty.id }]);
    await farm.api.untilEnded(long);
  }, 180_000);

  test("stays while its lane is paused", async () => {
    const waiting = await waitBehind(image, { runMs: 60_000, loadMs: 0 });
    const { lane } = await farm.jobRow(waiting);
    await farm.api.request("POST", `lanes/${String(lane)}/pause`);
    await farm.resumeEmpty();
    await expectItStays(waiting);
    await farm.api.request("POST", `lanes/${String(lane)}/resume`);
  }, 180_000);

  test("stays when the other server lacks a label", async () => {
    await farm.database.query("UPDATE servers SET labels = '{pool:night}' WHERE id = $1", [farm.busy.id]);
    const waiting = await waitBehind(sleepJob(0.2, { requires: ["pool:night"] }), {
      runMs: 60_000,
      loadMs: 0,
    });
    await farm.resumeEmpty();
    await expectItStays(waiting);
  }, 180_000);

  test("stays while its tenant has no place for another running job", async () => {
    const limit = "INSERT INTO tenant_limits (tenant_id, jobs_running_max) SELECT id, 2 FROM tenants";
    await farm.database.query(limit);
    const waiting = await waitBehind(sleepJob(0.2), { runMs: 60_000, loadMs: 0 });
    await farm.resumeEmpty();
    await expectItStays(waiting);
    await farm.database.query("DELETE FROM tenant_limits");
  }, 180_000);

  test("goes once at most, when twenty jobs of all lengths keep two servers more or less busy", async () => {
    await farm.resumeEmpty();
    const seconds = [2, 0.1, 0.1, 1.5, 0.1];
    const { jobIds } = await farm.api.submitBatch(
      Array.from({ length: 20 }, (_, index) => sleepJob(seconds[index % seconds.length] ?? 0)),
    );
    await Promise.all(jobIds.map((id) => farm.api.untilEnded(id)));
    for (const id of jobIds) {
      const [last, ...earlier] = (await farm.attempts(id)).toReversed();
      expect(last).toMatchObject({ outcome: "completed" });
      expect(earlier.length).toBeLessThanOrEqual(1);
      for (const attempt of earlier) expect(attempt).toMatchObject({ code: "taken-back" });
      expect(await farm.executionsOf(id)).toBe(1);
    }
  }, 180_000);
});
