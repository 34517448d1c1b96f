import { jobPriorities } from "@genga/jobs";
import { type Comparison } from "./compare-schedulers.ts";
import { type SimulatedRun } from "./simulate.ts";
import { type Workload } from "./workload.ts";

/** At most so many tenants are listed. */
const tenantsShown = 8;

export function simulationReport({ workload, lowerBoundMs, runs }: Comparison): string {
  const { jobs, servers, lanes, weights } = workload;
  const models = new Set(lanes.map(({ model }) => model)).size;
  return [
    `${jobs} jobs of ${weights.length} tenants, ${servers} servers, ${models} models, ${lanes.length} lanes`,
    `lower bound of the makespan: ${seconds(lowerBoundMs)} (renders and one load per model, shared by the servers)`,
    "",
    ...table(
      ["", "makespan s", "÷ bound", "loads", "taken back"],
      runs.map(({ scheduler, makespanMs, loads, takenBack }) => [
        scheduler,
        seconds(makespanMs),
        (makespanMs / lowerBoundMs).toFixed(3),
        String(loads),
        String(takenBack),
      ]),
    ),
    ...runs.flatMap((run) => ["", `waits in seconds, ${run.scheduler}`, ...waits(workload, run)]),
    ...(weights.length === 1
      ? []
      : ["", "GPU time while all tenants had work waiting", ...shares(workload, runs)]),
  ].join("\n");
}

function waits(workload: Workload, { startedMs }: SimulatedRun): string[] {
  const { jobs, tenantOfJob, bandOfJob, arrivalMs, weights } = workload;
  const rows: string[][] = [];
  for (let tenant = 0; tenant < Math.min(weights.length, tenantsShown); tenant += 1) {
    for (const [band, priority] of jobPriorities.entries()) {
      const waited: number[] = [];
      for (let job = 0; job < jobs; job += 1) {
        if (tenantOfJob[job] !== tenant || bandOfJob[job] !== band) continue;
        waited.push((startedMs[job] ?? 0) - (arrivalMs[job] ?? 0));
      }
      if (waited.length === 0) continue;
      const sorted = Float64Array.from(waited).sort();
      const at = (share: number) => seconds(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
      rows.push([`tenant ${tenant}`, priority, String(sorted.length), at(0.5), at(0.95), at(1)]);
    }
  }
  const rest = weights.length - tenantsShown;
  return [
    ...table(["", "band", "jobs", "median", "95 %", "longest"], rows),
    ...(rest > 0 ? [`(${rest} more tenants)`] : []),
  ];
}

function shares({ weights }: Workload, runs: SimulatedRun[]): string[] {
  const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
  return table(
    ["", "weight", ...runs.map(({ scheduler }) => scheduler)],
    weights.slice(0, tenantsShown).map((weight, tenant) => [
      `tenant ${tenant}`,
      percent(weight / totalWeight),
      ...runs.map(({ sharedGpuMs }) => {
        const total = sharedGpuMs.reduce((sum, own) => sum + own, 0);
        return total === 0 ? "–" : percent((sharedGpuMs[tenant] ?? 0) / total);
      }),
    ]),
  );
}

const seconds = (ms: number) => (ms / 1_000).toFixed(1);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** Lines with aligned columns: the first to the left, numbers to the right. */
function table(heads: string[], rows: string[][]): string[] {
  const lines = [heads, ...rows];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines.map((line) => {
    const cells = line.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `  ${cells.join("  ")}`.trimEnd();
  });
}
