import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { promisify } from "node:util";
import { isMet, type Row } from "../support/row.ts";

interface Missing {
  bench: string;
  reason: string;
}

/** Writes the rows with what they were measured on. `load` is of the end: a benchmark itself loads the machine. */
export async function writeReport(
  path: string,
  report: { startedAt: Date; rows: readonly Row[]; failed: readonly Missing[]; skipped: readonly Missing[] },
): Promise<void> {
  const { startedAt, rows, failed, skipped } = report;
  const machine = {
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? "unknown",
    memoryGb: Math.round(totalmem() / 1e9),
    node: process.version,
    loadAverages: loadavg(),
  };
  const withMet = rows.map((row) => ({ ...row, met: isMet(row) }));
  const text = JSON.stringify(
    { startedAt, finishedAt: new Date(), commit: await commitOf(), machine, rows: withMet, failed, skipped },
    null,
    2,
  );
  await writeFile(path, `${text}\n`);
}

/** @returns null where this is no checkout of git */
async function commitOf(): Promise<string | null> {
  try {
    return (await promisify(execFile)("git", ["describe", "--always", "--dirty"])).stdout.trim();
  } catch {
    return null;
  }
}
