import { type DurationRow, type DurationSample, type NodeDuration } from "../ports/run-durations.ts";
import { durationKeys, loadKeys, type DurationKey, type DurationLevel, type RunKind } from "./run-kind.ts";

/** Runs of which each key remembers the time. The median follows a lasting change after half as many. */
export const samplesMax = 31;
/** The most nodes of a graph whose times are kept … */
const nodesMax = 64;
/** … if they take at least this share of the run. */
const nodeShareMin = 0.002;
/** How much a new measurement of a node counts. */
const nodeWeight = 0.25;

/** A span of time: so long probably, and with four of five runs between the other two. In milliseconds. */
export interface TimeRange {
  ms: number;
  lowMs: number;
  highMs: number;
}

/** What earlier runs say of a run. */
export interface RunEstimate extends TimeRange {
  level: DurationLevel;
  /** Of as many runs. */
  runs: number;
  /** By node id. */
  nodes: ReadonlyMap<string, { ms: number; steps: number | null }>;
}

/** A completed run. */
export interface MeasuredRun {
  kind: RunKind;
  serverId: string;
  /** From the begin of the execution to its end, without the load. */
  ms: number;
  /** The time for which the server loaded the model; `null` = it did not. */
  loadMs: number | null;
  /** By node id: how long each node took, without the load. */
  nodes: ReadonlyMap<string, number>;
}

/** The measurements that a completed run adds. */
export function samplesOf({ kind, serverId, ms, loadMs, nodes }: MeasuredRun): DurationSample[] {
  if (!(ms > 0) || !Number.isFinite(ms)) return [];
  const longest = kind.nodes
    .map(({ id, key, steps }) => ({ key, steps, ms: nodes.get(id) ?? 0 }))
    .filter((node) => node.ms >= ms * nodeShareMin)
    .sort((one, other) => other.ms - one.ms)
    .slice(0, nodesMax);
  const runs = durationKeys(kind, serverId).map(({ key, work, nodeWork }) => ({
    key,
    sample: Math.log(ms / work),
    nodes: Object.fromEntries(
      longest.map((node): [string, NodeDuration] => [
        node.key,
        { ms: node.ms / Math.max(node.steps, 1) / nodeWork, perStep: node.steps > 0 },
      ]),
    ),
  }));
  if (loadMs === null || !(loadMs > 0) || kind.model === null) return runs;
  const sample = Math.log(loadMs);
  return [...runs, ...loadKeys(kind.model, serverId).map((key) => ({ key, sample, nodes: {} }))];
}

/** What is known of a key, with one more measurement. */
export function withSample(
  known: DurationRow | undefined,
  { key, sample, nodes }: DurationSample,
): DurationRow {
  const merged = new Map(Object.entries(known?.nodes ?? {}));
  for (const [name, now] of Object.entries(nodes)) {
    const before = merged.get(name);
    const isAlike = before?.perStep === now.perStep;
    merged.set(name, isAlike ? { ...now, ms: before.ms + (now.ms - before.ms) * nodeWeight } : now);
  }
  return {
    key,
    samples: [...(known?.samples ?? []), sample].slice(-samplesMax),
    nodes: Object.fromEntries([...merged].slice(-nodesMax)),
  };
}

/** The estimate by the most specific measurements that there are; `null` = nothing like it was measured. */
export function estimateRun(
  kind: RunKind,
  serverId: string | null,
  rows: ReadonlyMap<string, DurationRow>,
): RunEstimate | null {
  for (const each of durationKeys(kind, serverId)) {
    const row = rows.get(each.key);
    if (row === undefined || row.samples.length === 0) continue;
    const nodes = nodesOf(kind, each, row);
    const range = rangeOf(row.samples, uncertaintyOf[each.level]);
    const factor = factorOf(each, nodes, range.ms);
    return {
      ...{ ms: range.ms * factor, lowMs: range.lowMs * factor, highMs: range.highMs * factor },
      ...{ level: each.level, runs: row.samples.length, nodes },
    };
  }
  return null;
}

/** How long the server will probably load the model; `null` = no load of it was measured. */
export function estimateLoad(
  model: string,
  serverId: string | null,
  rows: ReadonlyMap<string, DurationRow>,
): TimeRange | null {
  const row = loadKeys(model, serverId)
    .map((key) => rows.get(key))
    .find((found) => found !== undefined && found.samples.length > 0);
  return row === undefined ? null : rangeOf(row.samples, uncertaintyOf.exact);
}

/** Half the width of the range, as a logarithm, however alike the measured runs were. */
const uncertaintyOf: Record<DurationLevel, number> = {
  "exact on the server": 0.05,
  exact: 0.1,
  "like it": 0.25,
  "same structure": 0.5,
};
/** One run says little about the next one; n of them add the n-th part of this to half the width. */
const fewRuns = 0.4;
/** The distance from the median to the tenth and ninetieth percentile, in standard deviations. */
const deviations = 1.28;
/** The median of the deviations from the median × this = the standard deviation. */
const deviationOfMedian = 1.4826;

function rangeOf(samples: readonly number[], uncertainty: number): TimeRange {
  const middle = medianOf(samples);
  const spread = medianOf(samples.map((sample) => Math.abs(sample - middle))) * deviationOfMedian;
  const half = Math.max(spread * deviations, uncertainty) + fewRuns / samples.length;
  return { ms: Math.exp(middle), lowMs: Math.exp(middle - half), highMs: Math.exp(middle + half) };
}

/**
 * By what the time per unit of work is multiplied for this run. With steps that were measured apart from the rest, twice the
 * steps take less than twice the time.
 */
function factorOf({ work }: DurationKey, nodes: RunEstimate["nodes"], msPerWork: number): number {
  if (work === 1) return 1;
  const values = [...nodes.values()];
  if (values.every(({ steps }) => steps === null)) return work;
  const ms = values.reduce((sum, node) => sum + node.ms * (node.steps ?? 1), 0);
  return ms > 0 ? ms / msPerWork : work;
}

function nodesOf(kind: RunKind, { nodeWork }: DurationKey, row: DurationRow): RunEstimate["nodes"] {
  return new Map(
    kind.nodes.flatMap(({ id, key, steps }): [string, { ms: number; steps: number | null }][] => {
      const known = Object.hasOwn(row.nodes, key) ? row.nodes[key] : undefined;
      if (known === undefined) return [];
      return [[id, { ms: known.ms * nodeWork, steps: known.perStep ? Math.max(steps, 1) : null }]];
    }),
  );
}

/** Of an even number, the mean of the two in the middle. */
function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const half = sorted.length / 2;
  const [upper = 0, lower = 0] = [sorted[Math.floor(half)], sorted[Math.ceil(half) - 1]];
  return (upper + lower) / 2;
}
