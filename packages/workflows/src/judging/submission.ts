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

/** One graph that would meet the submission. */
export interface Alternative {
  /** Node classes that this alternative needs; it is not tried on a server that lacks one of them. */
  classTypes: readonly string[];
  /** Builds the graph on the first call. */
  graph(): BuiltGraph;
  parameters: Json;
}

/** A client's request, read as far as that is possible without knowing any server. */
export interface Submission {
  type: JobType;
  /**
   * Whether the client wrote the graph. If so, problems name its nodes; otherwise they name the client's parameters.
   */
  isRaw: boolean;
  /** The parameters as the client sent them. */
  given: unknown;
  /** In order of preference; never empty. */
  alternatives: [Alternative, ...Alternative[]];
  /** The client's conditions for how a video is written. */
  wanted: Wanted;
  warnings: string[];
  /** The part of `extra_data` that must be kept secret, as JSON text. */
  secretExtraData?: string | undefined;
  /** The part of `extra_data` that is not secret, as JSON text; set if the parameters show different numbers. */
  extraDataText?: string | undefined;
}

/**
 * @param uploads the client's uploads that the parameters name
 * @throws InvalidJobError naming every problem that does not depend on a server
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
      "Data that Genga sends to the server as `extra_data`, such as `api_key_comfy_org` for partner nodes. `extra_pnginfo` and " +
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

/** Casts JSON whose shape `validateGraph` has just checked. */
function wellFormed(workflow: unknown): Workflow {
  return workflow as Workflow;
}

/** The graph as clients see it. The graph that runs is stored separately, with all digits. */
function shownToClients(workflow: Workflow): Json {
  return toClientJson(workflow) as Json;
}

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Parameters as JSON: a field that was left out is absent. */
function withoutUndefined(parameters: object): Record<string, Json> {
  return JSON.parse(JSON.stringify(parameters)) as Record<string, Json>;
}
