import { endings, type JobWrite, type RowState } from "../history/history.ts";
import { type Inflicted } from "../faults/inflict.ts";

/** How soon after a fault's heal the work went on; measured only if no other fault was active since then. */
export interface Recovery {
  /**
   * From the heal until the last job that had been executing was written to again; `null`: no job had been executing.
   */
  recoveryMs: number | null;
  /** From the heal until the first waiting job was claimed; `null`: no job waited, or no server was free. */
  pickUpMs: number | null;
}

type WritesOfJobs = ReadonlyMap<string, readonly JobWrite[]>;

export function recoveryOf(fault: Inflicted, all: readonly Inflicted[], writesOf: WritesOfJobs): Recovery {
  const { beganAt, healedAt } = fault;
  if (beganAt === null || healedAt === null) return { recoveryMs: null, pickUpMs: null };
  const isUndisturbed = (until: number): boolean =>
    all.every(
      (other) =>
        other === fault ||
        other.beganAt === null ||
        other.beganAt > until ||
        (other.healedAt ?? Number.POSITIVE_INFINITY) <= healedAt,
    );
  const signs = signsOfLife(beganAt, healedAt, writesOf);
  const lastSign = signs.length === 0 ? null : Math.max(...signs);
  const claim = firstClaim(healedAt, writesOf);
  const since = (at: number | null): number | null =>
    at !== null && isUndisturbed(at) ? at - healedAt : null;
  return { recoveryMs: since(lastSign), pickUpMs: since(claim) };
}

/** For each job that was executing when the fault began, and had not ended at its heal: when it was next written to. */
function signsOfLife(beganAt: number, healedAt: number, writesOf: WritesOfJobs): number[] {
  return [...writesOf.values()].flatMap((writes) => {
    const atBeginning = stateAt(writes, beganAt);
    if (atBeginning?.status !== "processing") return [];
    if (atBeginning.phase !== "executing" && atBeginning.phase !== "saving") return [];
    const atHeal = stateAt(writes, healedAt);
    if (atHeal !== undefined && endings.has(atHeal.status)) return [];
    return writes.find(({ at, before, after }) => at > healedAt && isSignOfLife(before, after))?.at ?? [];
  });
}

/** With at most this many jobs on servers, one server is free for a waiting job. */
const heldMax = 2;

function firstClaim(healedAt: number, writesOf: WritesOfJobs): number | null {
  const states = [...writesOf.values()].map((writes) => stateAt(writes, healedAt)?.status);
  const held = states.filter((status) => status === "processing").length;
  if (held > heldMax || !states.includes("queued")) return null;
  const claims = [...writesOf.values()].flatMap((writes) => {
    if (stateAt(writes, healedAt)?.status !== "queued") return [];
    return writes.find(({ at, after }) => at > healedAt && after.status === "processing")?.at ?? [];
  });
  return claims.length === 0 ? null : Math.min(...claims);
}

function stateAt(writes: readonly JobWrite[], at: number): RowState | undefined {
  return writes.findLast((write) => write.at <= at)?.after;
}

/** A write that does more than renew a lease. */
function isSignOfLife(before: RowState | null, after: RowState): boolean {
  return JSON.stringify({ ...before, leaseExpiresAt: 0 }) !== JSON.stringify({ ...after, leaseExpiresAt: 0 });
}
