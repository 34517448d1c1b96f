import { setTimeout as sleep } from "node:timers/promises";
import { type ApiClient } from "@genga/testing";

/** Between two looks, each of which costs the API a request. */
const lookEveryMs = 100;

/** @throws Error as soon as a job of the batch has ended without success */
export async function untilCompleted(api: ApiClient, batchId: string, jobs: number): Promise<void> {
  for (;;) {
    const { counts } = await api.batch(batchId);
    const lost = (counts["failed"] ?? 0) + (counts["timeout"] ?? 0) + (counts["cancelled"] ?? 0);
    if (lost > 0) throw new Error(`some jobs failed: ${JSON.stringify(counts)}`);
    if (counts["completed"] === jobs) return;
    await sleep(lookEveryMs);
  }
}
