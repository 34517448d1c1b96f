/**
 * All benchmarks, one after the other, as one table. Each runs as a process of its own, so that one that fails or leaves
 * something behind does not disturb the others. Ends with 1 if one failed. See benchmarks/README.md.
 *
 * npm run bench [-- --only overhead,lanes]; npm run bench:soak
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Row } from "../support/row.ts";
import { tableOf } from "../support/table.ts";
import { benchmarks, soakBenchmarks, type Benchmark } from "./benchmarks.ts";
import { runAsProcess } from "./run-as-process.ts";
import { writeReport } from "./write-report.ts";

/** A benchmark that has no rows, and why. */
interface Missing {
  bench: string;
  reason: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { soak: { type: "boolean", default: false }, only: { type: "string" } },
  });
  const chosen = choose(values.soak ? soakBenchmarks : benchmarks, values.only?.split(","));
  const startedAt = new Date();
  const folder = join(".genga", "bench");
  const name = startedAt.toISOString().replace(/[:.]/g, "-");
  await mkdir(join(folder, name), { recursive: true });

  const rows: Row[] = [];
  const failed: Missing[] = [];
  const skipped: Missing[] = [];
  for (const benchmark of chosen) {
    if (benchmark.needsServer === true && (process.env["COMFYUI_URL"] ?? "") === "") {
      skipped.push({ bench: benchmark.name, reason: "needs a real ComfyUI: set COMFYUI_URL" });
      continue;
    }
    const begunAt = performance.now();
    const outcome = await runAsProcess(benchmark, join(folder, name, `${benchmark.name}.log`));
    const took = `${((performance.now() - begunAt) / 1_000).toFixed(0)} s`;
    rows.push(...outcome.rows);
    if (outcome.failure !== null) failed.push({ bench: benchmark.name, reason: outcome.failure });
    console.log(`${benchmark.name}: ${outcome.failure ?? `${outcome.rows.length} rows`} (${took})`);
  }

  console.log(`\n${tableOf(rows)}\n`);
  for (const { bench, reason } of [...skipped, ...failed]) console.log(`no rows of ${bench}: ${reason}`);
  const path = join(folder, `${name}.json`);
  await writeReport(path, { startedAt, rows, failed, skipped });
  console.log(`as JSON in ${path}; what each benchmark printed is in ${join(folder, name)}`);
  if (failed.length > 0) process.exitCode = 1;
}

/** @throws Error for a name that no benchmark has */
function choose(all: readonly Benchmark[], names: readonly string[] | undefined): readonly Benchmark[] {
  const unknown = names?.find((name) => !all.some((benchmark) => benchmark.name === name));
  if (unknown !== undefined) {
    throw new Error(
      `There is no benchmark ${unknown}; there are: ${all.map(({ name }) => name).join(", ")}.`,
    );
  }
  return all.filter(({ name }) => names?.includes(name) ?? true);
}

await main();
