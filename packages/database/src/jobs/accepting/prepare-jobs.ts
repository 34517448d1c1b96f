import {
  defaultLane,
  InvalidJobError,
  isStorableJson,
  type Lane,
  type NewBatch,
  type NewJob,
} from "@genga/jobs";
import { setImmediate as breathe } from "node:timers/promises";
import { isStorable, storedGraph } from "../../connection/stored-json.ts";
import { hashWorkflow } from "./workflow-hash.ts";

/** A job in the form that the insert takes; its graph is stored separately, under its hash. */
export interface PreparedJob extends Omit<
  NewJob,
  "workflow" | "sealedExtraData" | "lane" | "key" | "dependsOn"
> {
  lane: string;
  key: string | null;
  dependsOn: readonly string[];
  openDependencies: number;
  /** Other jobs of the same submission depend on it. */
  hasDependents: boolean;
  /** Base64. */
  sealedExtraData: string | null;
  workflowHash: string;
}

/** A graph, identified by its content. */
export interface PreparedGraph {
  hash: string;
  /** The graph for the `jsonb` column. */
  json: string;
  /** The original text, if `jsonb` would change the spelling of a number in it. */
  text: string | null;
}

export interface Preparation {
  rows: PreparedJob[];
  /** Each graph once, ordered by hash. */
  graphs: PreparedGraph[];
  /** The lanes of the jobs, each once. */
  lanes: Lane[];
}

/** After this many jobs other work of the process gets its turn, since hashing ten thousand graphs takes a while. */
const preparedAtOnce = 100;

/** @throws InvalidJobError for texts that PostgreSQL cannot store */
export async function prepareJobs(jobs: NewJob[], batch: NewBatch | null): Promise<Preparation> {
  for (const [path, value] of Object.entries({ name: batch?.name, ...batch?.labels })) {
    assertStorable(path, isStorable(value ?? null));
  }
  const graphs = new Map<string, string>();
  const lanes = new Map<string, Lane>();
  const rows: PreparedJob[] = [];
  const needed = new Set(jobs.flatMap(({ dependsOn = [] }) => dependsOn));
  for (const [index, { workflow, sealedExtraData, lane, ...rest }] of jobs.entries()) {
    if (index % preparedAtOnce === preparedAtOnce - 1) await breathe();
    const { parameters, project, scene, shot, tags, key = null, dependsOn = [] } = rest;
    for (const [path, value] of Object.entries({ parameters, project, scene, shot, tags, key })) {
      assertStorable(path, isStorable(value));
    }
    const workflowHash = hashWorkflow(workflow);
    if (!graphs.has(workflowHash)) {
      assertStorable("workflow", isStorableJson(workflow));
      graphs.set(workflowHash, workflow);
    }
    const batchIndex = batch === null ? null : (rest.batchIndex ?? index);
    const sealed = sealedExtraData === undefined ? null : Buffer.from(sealedExtraData).toString("base64");
    if (lane !== null) lanes.set(lane.name, lane);
    const laneName = lane?.name ?? defaultLane;
    const links = { key, dependsOn, openDependencies: dependsOn.length, hasDependents: needed.has(rest.id) };
    rows.push({ ...rest, ...links, lane: laneName, batchIndex, workflowHash, sealedExtraData: sealed });
  }
  const sorted = [...graphs].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    rows,
    lanes: [...lanes.values()],
    graphs: sorted.map(([hash, text]) => ({ hash, ...storedGraph(text) })),
  };
}

function assertStorable(path: string, storable: boolean): void {
  if (storable) return;
  const message = `${path} holds a character that cannot be stored: NUL, or half of a surrogate pair.`;
  throw new InvalidJobError([{ path, code: "unstorable-character", message }]);
}
