import { type RunningWork } from "../ports/work-outlook.ts";

/** How much longer a server is busy with what it has: at least, probably and at most. */
export interface BusyFor {
  lowMs: number;
  ms: number;
  highMs: number;
}

/** How far a run's usual time may be off, where only the mean of jobs like it is known. */
const meanFactor = 2;

/** How much longer one job keeps its server busy; `null` = not known. */
export function busyWith(work: RunningWork): BusyFor | null {
  const { phase, remainingLowMs: low, remainingHighMs: high, toldAgoMs, runMs } = work;
  if (phase === "saving") return { lowMs: 0, ms: 0, highMs: 0 };
  if (phase === "executing" && low !== null && high !== null) {
    const agoMs = toldAgoMs ?? 0;
    // What should have ended probably goes on for as long again as it is late.
    const lateMs = Math.max(agoMs - high, 0);
    const [lowMs, highMs] = [Math.max(low - agoMs, 0), Math.max(high - agoMs, lateMs)];
    return { lowMs, ms: (lowMs + highMs) / 2, highMs };
  }
  if (runMs === null) return null;
  const isExecuting = phase === "executing";
  return {
    lowMs: isExecuting ? 0 : runMs / meanFactor,
    ms: isExecuting ? runMs / 2 : runMs,
    highMs: runMs * meanFactor,
  };
}

/**
 * When servers that become free one by one have done so much work, which they share, so that the next job begins.
 * @param freeInMs of each server, when it becomes free; at least one
 */
export function doneAfterMs(freeInMs: readonly number[], workMs: number): number {
  const sorted = freeInMs.toSorted((one, other) => one - other);
  let at = sorted[0] ?? 0;
  let leftMs = workMs;
  for (const [index, next] of [...sorted.slice(1), Number.POSITIVE_INFINITY].entries()) {
    const servers = index + 1;
    const doneMs = (next - at) * servers;
    if (doneMs >= leftMs) return at + leftMs / servers;
    leftMs -= doneMs;
    at = next;
  }
  return at;
}
