import { rendersPerJob, repeatedRenders } from "./check-executions.ts";
import { nameOfFault } from "./fault.ts";
import { groupBy } from "./group-by.ts";
import { endings, type History, type JobWrite, type RowState } from "./history.ts";
import { type Inflicted } from "./inflict.ts";

interface KindFigures {
  planned: number;
  struck: number;
  /** From the heal until each job that was executing showed a sign of life again, in milliseconds. */
  recoveriesMs: number[];
  repeats: number;
}

/** What the rounds have shown so far, by fault kind. */
export class Figures {
  rounds = 0;
  jobs = 0;
  readonly #kinds = new Map<string, KindFigures>();
  readonly #rendersPerJob = new Map<number, number>();
  readonly #repeatsByCause = new Map<string, number>();
  readonly #ends = new Map<string, number>();

  /** @param history of a whole run, and `faults` of all its rounds */
  add(history: History, faults: readonly Inflicted[], rounds: number): void {
    this.rounds += rounds;
    this.jobs += history.jobs.length;
    const writesOf = groupBy(history.writes, ({ jobId }) => jobId);
    for (const fault of faults) {
      const figures = this.#kind(fault);
      figures.planned += 1;
      if (fault.beganAt === null) continue;
      figures.struck += 1;
      const recoveryMs = recoveryOf(fault, writesOf);
      if (recoveryMs !== null) figures.recoveriesMs.push(recoveryMs);
    }
    for (const [renders, count] of rendersPerJob(history)) increase(this.#rendersPerJob, renders, count);
    for (const { cause, at } of repeatedRenders(history)) {
      increase(this.#repeatsByCause, cause, 1);
      const blamed = faults.filter(({ beganAt }) => beganAt !== null && beganAt <= at);
      const latest = blamed.sort((one, other) => (one.beganAt ?? 0) - (other.beganAt ?? 0)).at(-1);
      if (latest !== undefined) this.#kind(latest).repeats += 1;
    }
    for (const job of history.jobs) {
      increase(this.#ends, job.finalAnswers.find((answer) => answer.job)?.job?.status ?? "unknown", 1);
    }
  }

  /** A table for people. */
  toString(): string {
    const rows = [...this.#kinds]
      .sort(([one], [other]) => one.localeCompare(other))
      .map(([name, { planned, struck, recoveriesMs, repeats }]) => [
        name,
        String(planned),
        String(struck),
        String(recoveriesMs.length),
        shownMs(percentile(recoveriesMs, 0.5)),
        shownMs(percentile(recoveriesMs, 1)),
        String(repeats),
      ]);
    const header = ["fault", "planned", "struck", "measured", "p50 s", "max s", "repeats"];
    return [
      `${this.rounds} rounds, ${this.jobs} jobs (${listed(this.#ends)})`,
      `renders per job: ${listed(this.#rendersPerJob)}; repeated renders by cause: ${listed(this.#repeatsByCause) || "none"}`,
      "recovery: from the heal until every job that was executing at the beginning showed a sign of life again",
      ...columns([header, ...rows]),
    ].join("\n");
  }

  #kind({ fault }: Inflicted): KindFigures {
    const name = nameOfFault(fault);
    const figures = this.#kinds.get(name) ?? { planned: 0, struck: 0, recoveriesMs: [], repeats: 0 };
    this.#kinds.set(name, figures);
    return figures;
  }
}

/** `null` when no job was executing. */
function recoveryOf(fault: Inflicted, writesOf: ReadonlyMap<string, JobWrite[]>): number | null {
  const { beganAt, healedAt } = fault;
  if (beganAt === null || healedAt === null) return null;
  const recoveries: number[] = [];
  for (const writes of writesOf.values()) {
    const atBeginning = writes.findLast(({ at }) => at <= beganAt)?.after;
    if (atBeginning?.status !== "processing") continue;
    if (atBeginning.phase !== "executing" && atBeginning.phase !== "saving") continue;
    const atHeal = writes.findLast(({ at }) => at <= healedAt)?.after;
    if (atHeal !== undefined && endings.has(atHeal.status)) continue;
    const sign = writes.find(({ at, before, after }) => at > healedAt && isSignOfLife(before, after));
    if (sign !== undefined) recoveries.push(sign.at - healedAt);
  }
  return recoveries.length === 0 ? null : Math.max(...recoveries);
}

/** More than a renewed lease. */
function isSignOfLife(before: RowState | null, after: RowState): boolean {
  return JSON.stringify({ ...before, leaseExpiresAt: 0 }) !== JSON.stringify({ ...after, leaseExpiresAt: 0 });
}

function increase<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function listed(counts: ReadonlyMap<string | number, number>): string {
  return [...counts]
    .sort(([one], [other]) => String(one).localeCompare(String(other), "en", { numeric: true }))
    .map(([key, count]) => `${key}: ${count}`)
    .join(", ");
}

function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

function shownMs(ms: number | null): string {
  return ms === null ? "-" : (ms / 1_000).toFixed(2);
}

function columns(rows: readonly string[][]): string[] {
  const widths = rows[0]?.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join("  "),
  );
}
