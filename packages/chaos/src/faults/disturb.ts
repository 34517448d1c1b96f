import { setTimeout as sleep } from "node:timers/promises";
import { type TcpProxy } from "@genga/testing";

type Disturbance = "cut" | "half-open" | "delay";

/** The kind of disturbance, by the end of the fault's name. */
export function howOf(kind: string): Disturbance {
  if (kind.endsWith("cut")) return "cut";
  return kind.endsWith("delay") ? "delay" : "half-open";
}

/** Disturbs a network for this long. */
export async function disturb(
  proxy: TcpProxy,
  { how, byMs, ms }: { how: Disturbance; byMs: number; ms: number },
): Promise<void> {
  switch (how) {
    case "cut":
      await proxy.cut();
      await sleep(ms);
      await proxy.restore();
      return;
    case "half-open":
      proxy.freeze();
      await sleep(ms);
      proxy.thaw();
      return;
    case "delay":
      proxy.delay(byMs);
      await sleep(ms);
      proxy.delay(0);
  }
}
