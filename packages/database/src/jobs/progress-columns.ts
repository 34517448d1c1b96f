import { type JobProgress } from "@genga/jobs";
import { Prisma } from "../generated/client.ts";

/** The fields of a job's progress, without the percentage, as columns of `jobs`. Each of them may be NULL. */
const columnOf = {
  node: { name: "node", type: "text" },
  nodeTitle: { name: "node_title", type: "text" },
  step: { name: "step", type: "int" },
  steps: { name: "steps", type: "int" },
  nodesDone: { name: "nodes_done", type: "int" },
  nodesTotal: { name: "nodes_total", type: "int" },
  remainingLowMs: { name: "remaining_low_ms", type: "int" },
  remainingHighMs: { name: "remaining_high_ms", type: "int" },
} as const satisfies Record<Exclude<keyof JobProgress, "percent">, { name: string; type: "text" | "int" }>;

const columns = Object.entries(columnOf).map(([field, column]) => ({ field, ...column }));

/** The names of these columns; the percentage is not among them, since it is never NULL. */
export const progressColumns: readonly string[] = columns.map(({ name }) => name);

/** The columns that make a job's progress, from a table, alias or CTE named `job`. */
export const selectedProgress = Prisma.raw(
  ["job.percent", ...columns.map(({ field, name }) => `job.${name} AS "${field}"`)].join(", "),
);

/** The fields of a reported progress, as columns of a `jsonb_to_recordset`. */
export const givenProgress = Prisma.raw(
  ["percent real", ...columns.map(({ field, type }) => `"${field}" ${type}`)].join(", "),
);

/** Assigns the progress in `held` to the row; a percentage never falls. */
export const takenProgress = Prisma.raw(
  [
    "percent = greatest(jobs.percent, held.percent)",
    "progress_at = now()",
    ...columns.map(({ field, name }) => `${name} = held."${field}"`),
  ].join(", "),
);

export function progressFromRow(row: JobProgress): JobProgress {
  const { percent, node, nodeTitle, step, steps, nodesDone, nodesTotal } = row;
  const { remainingLowMs, remainingHighMs } = row;
  return {
    ...{ percent, node, nodeTitle, step, steps },
    ...{ nodesDone, nodesTotal, remainingLowMs, remainingHighMs },
  };
}

/**
 * Brings the values within the bounds of their columns, so that one odd number from a server does not fail the
 * statement that writes the progress of all jobs.
 */
export function progressToRow(progress: JobProgress): JobProgress {
  const percent = Number.isFinite(progress.percent) ? Math.min(Math.max(progress.percent, 0), 100) : 0;
  const { node, nodeTitle } = progress;
  return {
    ...{ percent, node, nodeTitle },
    ...{ step: wholeNumber(progress.step), steps: wholeNumber(progress.steps) },
    ...{ nodesDone: wholeNumber(progress.nodesDone), nodesTotal: wholeNumber(progress.nodesTotal) },
    remainingLowMs: wholeNumber(progress.remainingLowMs),
    remainingHighMs: wholeNumber(progress.remainingHighMs),
  };
}

function wholeNumber(value: number | null): number | null {
  return value === null || !Number.isFinite(value) || Math.abs(value) > 2 ** 31 - 1
    ? null
    : Math.trunc(value);
}
