import { createHash } from "node:crypto";

/** What decides how long a run takes, apart from the server. `workflowShape` of packages/comfyui finds it out. */
export interface RunKind {
  /** Equal for graphs with the same classes and links. */
  structure: string;
  /** Equal for graphs that also have the same sizes, steps, samplers and so on. */
  exact: string;
  steps: number;
  size: number;
  model: string | null;
  /** All nodes of the graph: the key of each, and how many steps it makes, if its inputs say so. */
  nodes: readonly { id: string; key: string; steps: number }[];
}

/** From the most to the least specific. */
const durationLevels = ["exact on the server", "exact", "like it", "same structure"] as const;
export type DurationLevel = (typeof durationLevels)[number];

/** The key of a run's measurements. Those that scale are kept per unit of work, so that they hold for other sizes. */
export interface DurationKey {
  key: string;
  level: DurationLevel;
  /** What a run's milliseconds are divided by: 1, or steps × size. */
  work: number;
  /** The same of one node's milliseconds, or of one of its steps: 1, or the size. */
  nodeWork: number;
}

/** @param serverId `null` = any server */
export function durationKeys(kind: RunKind, serverId: string | null): DurationKey[] {
  const { structure, exact, model, steps, size } = kind;
  const own = { work: 1, nodeWork: 1 };
  const scaled = { work: steps * size, nodeWork: size };
  return [
    ...(serverId === null
      ? []
      : [{ key: keyOf("run", exact, model, serverId), level: durationLevels[0], ...own }]),
    { key: keyOf("run", exact, model), level: durationLevels[1], ...own },
    { key: keyOf("run", structure, model), level: durationLevels[2], ...scaled },
    { key: keyOf("run", structure), level: durationLevels[3], ...scaled },
  ];
}

/** The keys of how long a server loads a model, the more specific one first. */
export function loadKeys(model: string, serverId: string | null): string[] {
  return [...(serverId === null ? [] : [keyOf("load", model, serverId)]), keyOf("load", model)];
}

function keyOf(...parts: (string | null)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}
