import { type UpkeepRecord } from "@genga/jobs";
import { type RecycleSettings } from "@genga/runtime";
import { type FreeMemory } from "../servers/server-answers.ts";

/** The kinds of reasons, which label the metric. */
export const recycleCauses = ["asked", "jobs", "vram", "ram"] as const;
export type RecycleCause = (typeof recycleCauses)[number];

/**
 * Why a server is to be recycled now; `null` = it is not.
 * @param memory in each of the last checks; a single one tells little, since prompts take memory and give it back
 */
export function whyRecycle(
  upkeep: Pick<UpkeepRecord, "promptsRun" | "recycleReason" | "recycleBegunAt" | "last"> | undefined,
  memory: readonly FreeMemory[],
  settings: RecycleSettings,
  now: Date,
): { cause: RecycleCause; reason: string } | null {
  // Asked for, or begun by an earlier owner.
  if (upkeep !== undefined && upkeep.recycleReason !== null)
    return { cause: causeOf(upkeep.recycleReason), reason: upkeep.recycleReason };
  const { last, promptsRun = 0 } = upkeep ?? { last: null };
  if (last !== null && now.getTime() - last.at.getTime() < settings.intervalMs) return null;
  const { afterJobs, freeVramBelowBytes, freeRamBelowBytes } = settings;
  if (afterJobs > 0 && promptsRun >= afterJobs) return { cause: "jobs", reason: `after ${promptsRun} jobs` };
  if (isBelow(memory, "vramBytes", freeVramBelowBytes))
    return { cause: "vram", reason: lowMemory("VRAM", memory.at(-1)?.vramBytes, freeVramBelowBytes) };
  if (isBelow(memory, "ramBytes", freeRamBelowBytes))
    return { cause: "ram", reason: lowMemory("RAM", memory.at(-1)?.ramBytes, freeRamBelowBytes) };
  return null;
}

/** So many checks, which are five seconds apart, must agree that memory is low. */
const lowChecksMin = 3;

function isBelow(memory: readonly FreeMemory[], kind: keyof FreeMemory, limitBytes: number): boolean {
  const latest = memory.slice(-lowChecksMin);
  return (
    limitBytes > 0 &&
    latest.length === lowChecksMin &&
    latest.every((free) => free[kind] !== null && free[kind] < limitBytes)
  );
}

function lowMemory(name: string, freeBytes: number | null | undefined, limitBytes: number): string {
  const megabytes = (bytes: number): number => Math.floor(bytes / 1_000_000);
  return `${name} is low: ${megabytes(freeBytes ?? 0)} MB free, fewer than ${megabytes(limitBytes)} MB`;
}

function causeOf(reason: string): RecycleCause {
  if (reason.startsWith("after ")) return "jobs";
  if (reason.startsWith("VRAM ")) return "vram";
  return reason.startsWith("RAM ") ? "ram" : "asked";
}
