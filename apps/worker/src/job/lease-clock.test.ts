import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "@jest/globals";
import { LeaseClock } from "./lease-clock.ts";

const untouched = (): AbortSignal => new AbortController().signal;

test("the wait for more of a lease ends with the lease, also if the garbage collector runs meanwhile", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const lease = new LeaseClock(200, performance.now());
  const signals = { stopSignal: untouched(), cancelSignal: untouched() };
  const wait = lease.untilLeft(1_000, signals);
  await new Promise(setImmediate);
  collect();
  expect(await wait).toBe(false);
});

test("the wait for more of a lease ends when it is renewed, when its job is cancelled, and when its run is stopped", async () => {
  const [stopping, cancelling] = [new AbortController(), new AbortController()];
  const signals = { stopSignal: stopping.signal, cancelSignal: cancelling.signal };
  const lease = new LeaseClock(60_000, performance.now() - 50_000);
  const waits = [20_000, 70_000].map((wantedMs) => lease.untilLeft(wantedMs, signals));
  lease.renewed(performance.now());
  expect(await waits[0]).toBe(true);
  cancelling.abort();
  expect(await waits[1]).toBe(false);
  const next = lease.untilLeft(70_000, { ...signals, cancelSignal: untouched() });
  stopping.abort(new Error("lease-lost"));
  await expect(next).rejects.toThrow("lease-lost");
});
