import { stringifyExactJson, toClientJson, validateGraph, type Workflow } from "@genga/comfyui";
import { type ExtraData, InvalidJobError, type JobType, type Json, readExtraData } from "@genga/jobs";
import { z } from "zod";
import { type BuiltGraph } from "../building/graph-builder.ts";
import { problemOfRawGraph } from "./graph-problems.ts";
import { parseImageParameters, parseVideoParameters } from "../parameters/job-parameters.ts";
import { problemsOf } from "../parameters/parameter-problems.ts";
import { buildImageGraph, buildVideoGraph } from "../building/build-graphs.ts";
import { type KnownUploads } from "../parameters/known-uploads.ts";
import { outputOptionFields } from "../parameters/output-options.ts";
import { endingsOf, type Wanted } from "../building/video-endings.ts";
import { warningOfLongWindows } from "../parameters/video-parameters.ts";

/** One graph that would do. */
export interface Alternative {
  /** Node classes without which this alternative need not be tried. */
  classTypes: readonly string[];
  /** Built when first asked for. */
  graph(): BuiltGraph;
  parameters: Json;
}

/** What a client asked for, understood as far as that is possible without knowing any server. */
export interface Submission {
  type: JobType;
  /** The client wrote the graph; problems then name its nodes, else the client's parameters. */
  isRaw: boolean;
  /** What the client sent. */
  given: unknown;
  /** In order of preference; never empty. */
  alternatives: [Alternative, ...Alternative[]];
  /** How a video is to end. */
  wanted: Wanted;
  warnings: string[];
  /** What goes to the server beside the graph and must be kept secret, as JSON text. */
  secretExtraData?: string | undefined;
  /** The open part of it as JSON text, where the parameters show other numbers. */
  extraDataText?: string | undefined;
}

/**
 * @param uploads those of the client's that the parameters name
 * @throws InvalidJobError naming everything that is wrong whatever servers there are
 */
export function readSubmission(type: JobType, parameters: unknown, uploads: KnownUploads): Submission {
  switch (type) {
    case "image":
      return imageSubmission(parameters, uploads);
    case "video":
      return videoSubmission(parameters, uploads);
    case "workflow":
      return rawSubmission(parameters);
  }
}

function imageSubmission(given: unknown, uploads: KnownUploads): Submission {
  const parameters = parseImageParameters(given, uploads);
  const graph = once(() => buildImageGraph(parameters, uploads));
  const alternative = { classTypes: [], graph, parameters: withoutUndefined(parameters) };
  return { type: "image", isRaw: false, given, alternatives: [alternative], wanted: {}, warnings: [] };
}

function videoSubmission(given: unknown, uploads: KnownUploads): Submission {
  const parameters = parseVideoParameters(given, uploads);
  const [first, ...others] = endingsOf(parameters).map((ending) => ({
    classTypes: ending.classTypes,
    graph: once(() => buildVideoGraph(parameters, ending, uploads)),
    parameters: withoutUndefined({ ...parameters, format: ending.format }),
  }));
  if (first === undefined) throw new Error(`No video ending is known for ${String(parameters.format)}.`);
  const alternatives: Submission["alternatives"] = [first, ...others];
  const warnings = [warningOfLongWindows(parameters) ?? []].flat();
  return { type: "video", isRaw: false, given, alternatives, wanted: parameters, warnings };
}

/** Parameters of a `workflow` job. The graph's own shape is judged by `validateGraph`. */
export const workflowParametersSchema = z.strictObject({
  workflow: z
    .record(z.string(), z.looseObject({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) }))
    .describe(
      "A ComfyUI graph in API format: node id → { class_type, inputs }. Loaders may name uploads as POST uploads did.",
    ),
  extraData: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      "What goes to the server as `extra_data`, such as `api_key_comfy_org` for partner nodes. `extra_pnginfo` and " +
        "`preview_method` are kept with the job; every other key is a secret: encrypted, shown nowhere, and erased when the " +
        "job ends. `client_id` is set by Genga.",
    ),
  ...outputOptionFields,
});
const workflowParametersShape = z.strictObject({
  workflow: z.unknown().nonoptional(),
  extraData: z.unknown().optional(),
  ...outputOptionFields,
});

function rawSubmission(given: unknown): Submission {
  const parsed = workflowParametersShape.safeParse(given);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, workflowParametersSchema, given));
  const { errors } = validateGraph(parsed.data.workflow);
  if (errors.length > 0) throw new InvalidJobError(errors.map(problemOfRawGraph));
  const workflow = wellFormed(parsed.data.workflow);
  const { keepPreviews, stripMetadata, extraData } = parsed.data;
  const beside: ExtraData =
    extraData === undefined
      ? { open: {}, openAsGiven: {}, secret: undefined }
      : readExtraData(extraData, stringifyExactJson);
  const exact = stringifyExactJson(beside.openAsGiven);
  const options = {
    ...{ keepPreviews, stripMetadata },
    ...(Object.keys(beside.open).length > 0 && { extraData: beside.open }),
  };
  const graph = { workflow, parameterOf: () => undefined };
  const alternative = {
    classTypes: [],
    graph: () => graph,
    parameters: { ...withoutUndefined(options), workflow: shownToClients(workflow) },
  };
  const raw = { type: "workflow", isRaw: true, given, wanted: {}, warnings: [] } as const;
  return {
    ...{ ...raw, warnings: [], alternatives: [alternative], secretExtraData: beside.secret },
    ...(exact !== JSON.stringify(beside.open) && { extraDataText: exact }),
  };
}

/** JSON whose shape `validateGraph` has just found good. */
function wellFormed(workflow: unknown): Workflow {
  return workflow as Workflow;
}

/** The graph itself is kept apart, with all digits. */
function shownToClients(workflow: Workflow): Json {
  return toClientJson(workflow) as Json;
}

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Parameters as JSON has them: a field that was left out is not there. */
function withoutUndefined(parameters: object): Record<string, Json> {
  return JSON.parse(JSON.stringify(parameters)) as Record<string, Json>;
}
