import { isObject, parseExactJson, stringifyExactJson } from "@genga/comfyui";
import {
  InvalidJobError,
  type Job,
  type JobOptions,
  type JobProblem,
  type JobRequest,
  type FirstGraph,
  type RerunOf,
  type StoredParameters,
} from "@genga/jobs";
import { withOutputsShownInText, workflowParametersSchema } from "@genga/workflows";
import { z } from "zod";
import { batchOptionFields, readOptions } from "./job-options.ts";

export const rerunBodySchema = z.strictObject({
  changes: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      "What the new job does otherwise. Of an image or video: parameters with new values; null takes a parameter away, so that its " +
        "default holds (a new seed). Of a raw workflow: node id → inputs with new values; null takes an input away.",
    ),
  extraData: workflowParametersSchema.shape.extraData.describe(
    "Of raw workflows. Must have the secret part if the job was submitted with one, since that is shown to nobody and erased at its " +
      "end; the open part is the job's own unless it is here.",
  ),
  ...batchOptionFields,
});

/** What the body of a rerun says. */
export interface ReadRerun {
  changes: Record<string, unknown> | undefined;
  extraData: unknown;
  options: JobOptions;
}

/** @param body parsed JSON @throws InvalidJobError */
export function readRerun(body: unknown): ReadRerun {
  if (!isObject(body)) throw new InvalidJobError([wrongType("", "A JSON object is expected.")]);
  const { options, problems, others } = readOptions(body, "batch");
  const { changes, extraData, ...unknown } = others;
  if (changes !== undefined && !isObject(changes))
    problems.push(wrongType("changes", "changes must be an object."));
  for (const name of Object.keys(unknown).slice(0, problemsMax)) {
    const message = `${name.slice(0, 100)} is no field of a rerun.`;
    problems.push({ path: name.slice(0, 100), code: "unknown-field", message, accepted: fieldNames });
  }
  if (problems.length > 0) throw new InvalidJobError(problems);
  return { changes: isObject(changes) ? changes : undefined, extraData, options };
}

const problemsMax = 20;
const fieldNames = Object.keys(rerunBodySchema.shape);

/**
 * The submission that makes the job again. Without changes the new job has the same graph, seed included.
 * @throws InvalidJobError naming each change that cannot be made
 */
export function rerunRequestOf(
  job: Job,
  stored: StoredParameters,
  { changes, extraData, options }: ReadRerun,
): JobRequest & { rerunOf: RerunOf } {
  const { project, scene, shot, tags, requires, priority, attemptsMax, timeoutMs } = job;
  const labels = {
    ...(project !== null && { project }),
    ...(scene !== null && { scene }),
    ...(shot !== null && { shot }),
    tags,
  };
  const all: JobOptions = { ...labels, requires, priority, attemptsMax, timeoutMs, ...options };
  const graph = parseExactJson(withOutputsShownInText(stored.workflow, stored.inputs));
  const rerunOf: RerunOf = {
    id: job.id,
    ...(changes === undefined && { graph: firstGraphOf(stored, graph) }),
  };
  if (job.type === "workflow") {
    const workflow = changes === undefined ? graph : withInputs(graph, changes);
    const parameters = { ...withExtraData(stored, extraData), workflow };
    return { type: "workflow", parameters, options: all, rerunOf };
  }
  if (extraData !== undefined) throw new InvalidJobError([extraDataOfGraphsOnly]);
  const parameters = changes === undefined ? stored.parameters : withChanges(stored.parameters, changes);
  return { type: job.type, parameters, options: all, rerunOf };
}

/** PostgreSQL keeps the names of a graph's nodes and inputs in an order of its own. */
function firstGraphOf(
  { workflow: text, workflowHash: hash }: StoredParameters,
  workflow: unknown,
): FirstGraph {
  const first = inOneOrder(text);
  return { hash, workflow, isSame: (other) => inOneOrder(other) === first };
}

function inOneOrder(text: string): string {
  const ordered = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(ordered);
    if (!isObject(value)) return value;
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(members.map(([name, member]) => [name, ordered(member)]));
  };
  return stringifyExactJson(ordered(parseExactJson(text)));
}

function withChanges(parameters: unknown, changes: Record<string, unknown>): Record<string, unknown> {
  const changed = Object.entries({ ...(isObject(parameters) ? parameters : {}), ...changes });
  return Object.fromEntries(changed.filter(([, value]) => value !== null));
}

/** The options of a raw graph's output, and the data beside the graph, with its numbers as they were given. */
function withExtraData(
  { parameters, extraDataText }: StoredParameters,
  given: unknown,
): Record<string, unknown> {
  const { extraData: kept, ...others } = isObject(parameters) ? parameters : {};
  const open = extraDataText === null ? kept : parseExactJson(extraDataText);
  if (given !== undefined && !isObject(given)) return { ...others, extraData: given };
  const all = { ...(isObject(open) ? open : {}), ...given };
  return Object.keys(all).length === 0 ? others : { ...others, extraData: all };
}

function withInputs(graph: unknown, changes: Record<string, unknown>): Record<string, unknown> {
  const nodes = isObject(graph) ? graph : {};
  const problems: JobProblem[] = [];
  const changed = new Map(Object.entries(nodes));
  for (const [nodeId, inputs] of Object.entries(changes)) {
    const node = changed.get(nodeId);
    const path = `changes.${nodeId.slice(0, 100)}`;
    if (!isObject(node)) {
      problems.push({ path, code: "unknown-field", message: `${path}: the graph has no node of this id.` });
    } else if (!isObject(inputs)) {
      problems.push(wrongType(path, `${path} must be an object of inputs.`));
    } else {
      const kept = isObject(node["inputs"]) ? node["inputs"] : {};
      changed.set(nodeId, { ...node, inputs: withChanges(kept, inputs) });
    }
  }
  if (problems.length > 0) throw new InvalidJobError(problems.slice(0, problemsMax));
  return Object.fromEntries(changed);
}

function wrongType(path: string, message: string): JobProblem {
  return { path, code: "wrong-type", message, accepted: "object" };
}

const extraDataOfGraphsOnly: JobProblem = {
  path: "extraData",
  code: "unknown-field",
  message: "extraData goes with raw workflows only.",
};
