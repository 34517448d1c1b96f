import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { sleepJob, startTwoServers, type TwoServers } from "./support/two-servers.ts";

// A prompt that waits behind a long one, and a server that falls idle.

describe.each([
  ["of one worker", 1],
  ["of two workers", 2],
])("two servers %s", (_, workers) => {
  let farm: TwoServers;
  beforeAll(async () => {
    farm = await startTwoServers({ workers });
  }, 90_000);
  afterAll(async () => {
    await farm.stop();
  }, 30_000);

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
  }, 90_000);
});
