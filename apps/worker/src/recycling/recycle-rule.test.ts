import { describe, expect, test } from "@jest/globals";
import { type RecycleSettings } from "@genga/runtime";
import { whyRecycle } from "./recycle-rule.ts";

const never: RecycleSettings = {
  ...{ afterJobs: 0, freeVramBelowBytes: 0, freeRamBelowBytes: 0, intervalMs: 60_000 },
  ...{ hook: [], hookTimeoutMs: 1_000, hookEnvironment: {} },
};
const now = new Date(1_000_000_000);
type Upkeep = NonNullable<Parameters<typeof whyRecycle>[0]>;

const nothing: Upkeep = { promptsRun: 0, recycleReason: null, recycleBegunAt: null, last: null };
const endedAgo = (ms: number, promptsRun: number): Upkeep => ({
  ...{ ...nothing, promptsRun },
  last: { at: new Date(now.getTime() - ms), reason: "after 3 jobs", outcome: "done", message: null },
});
const free = (
  vramBytes: number | null,
  ramBytes: number | null = null,
): { vramBytes: number | null; ramBytes: number | null } => ({
  vramBytes,
  ramBytes,
});
const thrice = <Value>(value: Value): Value[] => [value, value, value];

describe("a server is recycled", () => {
  test("after so many prompts, and never if nothing is set", () => {
    const settings = { ...never, afterJobs: 3 };
    expect(whyRecycle(undefined, [], settings, now)).toBeNull();
    expect(whyRecycle({ ...nothing, promptsRun: 2 }, [], settings, now)).toBeNull();
    expect(whyRecycle({ ...nothing, promptsRun: 4 }, [], settings, now)).toEqual({
      cause: "jobs",
      reason: "after 4 jobs",
    });
    expect(whyRecycle({ ...nothing, promptsRun: 1e6 }, thrice(free(0, 0)), never, now)).toBeNull();
  });

  test("when three checks in a row saw too little memory, of a kind that the server tells", () => {
    const settings = { ...never, freeVramBelowBytes: 2e9, freeRamBelowBytes: 4e9 };
    const why = (...memory: ReturnType<typeof free>[]): unknown =>
      whyRecycle(undefined, memory, settings, now)?.cause ?? null;
    expect(why(free(1e9), free(1e9))).toBeNull();
    expect(why(free(1e9), free(2e9), free(1e9))).toBeNull();
    expect(why(free(2e9), ...thrice(free(1e9)))).toBe("vram");
    expect(why(...thrice(free(null, 3e9)))).toBe("ram");
    expect(why(...thrice(free(null)))).toBeNull();
    expect(whyRecycle(undefined, thrice(free(1e9)), settings, now)?.reason).toBe(
      "VRAM is low: 1000 MB free, fewer than 2000 MB",
    );
  });

  test("not again within the interval, unless somebody asked, or an earlier owner had begun", () => {
    const settings = { ...never, afterJobs: 1 };
    const recent = endedAgo(59_999, 9);
    expect(whyRecycle(recent, [], settings, now)).toBeNull();
    expect(whyRecycle(endedAgo(60_000, 9), [], settings, now)?.cause).toBe("jobs");
    const asked = { ...recent, recycleReason: "an operator asked for it" };
    expect(whyRecycle(asked, [], never, now)).toEqual({
      cause: "asked",
      reason: "an operator asked for it",
    });
    expect(whyRecycle({ ...recent, recycleReason: "RAM is low: 1 MB free" }, [], never, now)?.cause).toBe(
      "ram",
    );
  });
});
