import { createHash } from "node:crypto";
import {
  inputKinds,
  InvalidJobError,
  outputMember,
  type JobProblem,
  type JobType,
  type Json,
  type NewJobInput,
  type Upload,
} from "@genga/jobs";
import { z } from "zod";
import { outputReferenceSchema } from "../parameters/output-reference.ts";
import { keyOfFile } from "../parameters/known-uploads.ts";

/**
 * A stand-in for an output that does not exist yet. It has the form of an upload, so that a graph with it is built and
 * judged as usual. Equal places in the graphs of many jobs have the same stand-in, so that these graphs are stored once.
 */
export interface OutputStandIns {
  /** The parameters with the stand-ins' names in the graph, if it is a raw one. */
  parameters: unknown;
  /** For parameters that name outputs. */
  uploads: Map<string, Upload>;
  inputs: NewJobInput[];
}

/** @throws InvalidJobError naming each input whose `$output` is not valid */
export function standInsOf(type: JobType, parameters: unknown): OutputStandIns {
  const none: OutputStandIns = { parameters, uploads: new Map(), inputs: [] };
  if (!isDict(parameters)) return none;
  return type === "workflow" ? inGraph(parameters) : inParameters(parameters, none);
}

function inParameters(parameters: Dict, found: OutputStandIns): OutputStandIns {
  for (const name of ["initImage", "mask"]) {
    const named = outputReferenceSchema.safeParse(parameters[name]).data;
    if (named === undefined || found.uploads.has(keyOfFile(named))) continue;
    const sha256 = standInHash(found.inputs.length);
    const upload: Upload = {
      ...{ id: keyOfFile(named), tenantId: "", sha256, mediaType: "image/png", bytes: 0 },
      // Its size is not known yet.
      ...{ width: 0, height: 0, frames: null, durationMs: null, blake3: null, createdAt: new Date(0) },
    };
    found.uploads.set(upload.id, upload);
    found.inputs.push({ name: nameOf(sha256), ...named, kind: "image" });
  }
  return found;
}

function inGraph(parameters: Dict): OutputStandIns {
  const { workflow } = parameters;
  const none: OutputStandIns = { parameters, uploads: new Map(), inputs: [] };
  if (!isDict(workflow)) return none;
  const [inputs, problems] = [new Map<string, NewJobInput>(), [] as JobProblem[]];
  const nodes = Object.entries(workflow).map(([nodeId, node]) => {
    const given = isDict(node) ? node["inputs"] : undefined;
    if (!isDict(node) || !isDict(given) || !Object.values(given).some(namesOutput))
      return [nodeId, node] as const;
    const classType = String(node["class_type"]);
    const replaced = Object.entries(given).map(([input, value]) => {
      if (!namesOutput(value)) return [input, value] as const;
      const parsed = valueSchema.safeParse(value).data;
      if (parsed === undefined) problems.push(malformed(nodeId, input));
      if (parsed === undefined) return [input, value] as const;
      const named = parsed[outputMember];
      const kind = kindOf(classType);
      const key = `${keyOfFile(named)} ${kind ?? ""}`;
      const known = inputs.get(key) ?? { name: nameOf(standInHash(inputs.size)), ...named, kind };
      inputs.set(key, known);
      return [input, known.name] as const;
    });
    return [nodeId, { ...node, inputs: Object.fromEntries(replaced) }] as const;
  });
  if (problems.length > 0) throw new InvalidJobError(problems.slice(0, problemsMax));
  if (inputs.size === 0) return none;
  const graph = { ...parameters, workflow: Object.fromEntries(nodes) };
  return { parameters: graph, uploads: new Map(), inputs: [...inputs.values()] };
}

function namesOutput(value: unknown): boolean {
  return isDict(value) && Object.hasOwn(value, outputMember);
}

const problemsMax = 100;
const valueSchema = z.strictObject({ [outputMember]: outputReferenceSchema });

/** What a loader reads, by the name of its class; `null` = anything. */
function kindOf(classType: string): NewJobInput["kind"] {
  if (!/load|read|open|import/i.test(classType)) return null;
  return (
    inputKinds.find((kind) => new RegExp(kind === "image" ? "image|mask" : kind, "i").test(classType)) ?? null
  );
}

/** The parameters of a raw graph as clients see them: with the outputs that they named. */
export function withOutputsShown(parameters: Json, inputs: readonly NewJobInput[]): Json {
  if (inputs.length === 0 || !isDict(parameters)) return parameters;
  const byName = new Map(inputs.map((input) => [input.name, input]));
  const shown = (value: Json, depth: number): Json => {
    const input = typeof value === "string" ? byName.get(value) : undefined;
    if (input !== undefined) return { [outputMember]: { from: input.from, output: input.output } };
    if (depth === 0 || !isDict(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shown(item, depth - 1)]));
  };
  return shown(parameters, 4);
}

type ReadOutput = Pick<NewJobInput, "name" | "from" | "output">;

/**
 * A graph's text with references to outputs in place of their stand-ins, as the client may write it, too. A stand-in's
 * name stands nowhere else in a graph.
 * @param referenceTo the words of another API; `undefined` = those of our own
 */
export function withOutputsShownInText(
  workflow: string,
  inputs: readonly ReadOutput[],
  referenceTo: (input: ReadOutput) => object | undefined = () => undefined,
): string {
  return inputs.reduce((text, input) => {
    const { name, from, output } = input;
    const reference = JSON.stringify(referenceTo(input) ?? { [outputMember]: { from, output } });
    return text.replaceAll(JSON.stringify(name), () => reference);
  }, workflow);
}

/** The hash of no upload; the same for the same place in any graph. */
function standInHash(place: number): string {
  return createHash("sha256").update(`genga: stand-in for an output, ${place}`).digest("hex");
}

function nameOf(sha256: string): string {
  return `genga/${sha256}.png`;
}

function malformed(nodeId: string, input: string): JobProblem {
  const path = `workflow.${nodeId}.inputs.${input}`.slice(0, 300);
  const message = `${path}: ${outputMember} must be {"from": the key or id of a job, "output": a whole number from 0}.`;
  return { path, code: "invalid-value", message, nodeId: nodeId.slice(0, 200), input: input.slice(0, 200) };
}

type Dict = Record<string, unknown>;

function isDict(value: unknown): value is Dict {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !("toJSON" in value && typeof value.toJSON === "function");
}
