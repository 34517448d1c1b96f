import {
  defaultLane,
  InvalidJobError,
  isStorableJson,
  type JobPriority,
  type Lane,
  type NewBatch,
  type NewJob,
  type NewWebhook,
} from "@genga/jobs";
import { setImmediate as breathe } from "node:timers/promises";
import { isStorable, storedGraph } from "../../connection/stored-json.ts";
import { reuseHashOf } from "./reuse-hash.ts";
import { hashWorkflow } from "./workflow-hash.ts";

/** A job whose row can be made, but is not yet: the rows of ten thousand jobs take some 20 MB. */
export interface PreparedJob {
  job: NewJob;
  batchIndex: number | null;
  /** The name of its lane. */
  lane: string;
  priority: JobPriority;
  workflowHash: string;
  /** What decides its outputs; `null` = it is neither answered from another job, nor another one from it. */
  reuseHash: string | null;
  /** Other jobs of the same submission depend on it. */
  hasDependents: boolean;
}

/** A graph, identified by its content. */
export interface PreparedGraph {
  hash: string;
  /** The graph for the `jsonb` column. */
  json: string;
  /**
   * The original text, if `jsonb` would change the spelling of a number in it. Of a prompt of ComfyUI's clients always: a server runs
   * nodes in an order that follows from that of the graph, which `jsonb` changes.
   */
  text: string | null;
}

export interface Preparation {
  prepared: PreparedJob[];
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
  const inOrder = new Set<string>();
  const lanes = new Map<string, Lane>();
  const prepared: PreparedJob[] = [];
  const needed = new Set(jobs.flatMap(({ dependsOn = [] }) => dependsOn));
  for (const [index, job] of jobs.entries()) {
    if (index % preparedAtOnce === preparedAtOnce - 1) await breathe();
    const { workflow, lane, parameters, project, scene, shot, tags, key = null, priority } = job;
    const values = job.template?.values ?? null;
    for (const [path, value] of Object.entries({ parameters, project, scene, shot, tags, key, values })) {
      assertStorable(path, isStorable(value));
    }
    const workflowHash = job.workflowHash ?? hashWorkflow(workflow);
    if (!graphs.has(workflowHash)) {
      assertStorable("workflow", isStorableJson(workflow));
      graphs.set(workflowHash, workflow);
    }
    if (job.door !== undefined) inOrder.add(workflowHash);
    const batchIndex = batch === null ? null : (job.batchIndex ?? index);
    if (lane !== null && lanes.get(lane.name)?.isGuessed !== true) lanes.set(lane.name, lane);
    const hasDependents = needed.has(job.id);
    prepared.push({
      ...{ job, batchIndex, lane: lane?.name ?? defaultLane, priority, workflowHash, hasDependents },
      reuseHash: reuseHashOf(job, workflowHash),
    });
  }
  const sorted = [...graphs].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    prepared,
    lanes: [...lanes.values()],
    graphs: sorted.map(([hash, text]) => {
      const graph = storedGraph(text);
      return { hash, ...graph, text: inOrder.has(hash) ? text : graph.text };
    }),
  };
}

/** The job in the form that the insert takes; its graph is stored separately, under its hash. */
export function rowOf({ job, ...known }: PreparedJob & { rank: number; reusedFrom: string | null }): object {
  const { sealedExtraData, key = null, dependsOn = [], template, webhook } = job;
  return {
    ...{ ...job, ...known, workflow: undefined, template: undefined },
    ...{ templateName: template?.name, templateVersion: template?.version },
    ...{ templateValues: template?.values ?? undefined },
    webhook: webhook && webhookRow(webhook),
    ...{ key, openDependencies: dependsOn.length },
    sealedExtraData: sealedExtraData === undefined ? null : Buffer.from(sealedExtraData).toString("base64"),
  };
}

/** A webhook as a JSON value that statements take apart. */
export function webhookRow({ url, events, sealedSecret }: NewWebhook): object {
  return { url, events, sealedSecret: Buffer.from(sealedSecret).toString("base64") };
}

function assertStorable(path: string, storable: boolean): void {
  if (storable) return;
  const message = `${path} holds a character that cannot be stored: NUL, or half of a surrogate pair.`;
  throw new InvalidJobError([{ path, code: "unstorable-character", message }]);
}
