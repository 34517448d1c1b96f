import { numberOf } from "../json/exact-json.ts";
import { inputProblem, type GraphProblem, type GraphValidation } from "../graph/graph-problem.ts";
import { framesMaxOfModule, framesMaxUsually } from "../classes/motion-modules.ts";
import { specOf, type ObjectInfo } from "../classes/object-info.ts";
import { linkOf, type Workflow, type WorkflowNode } from "../graph/workflow.ts";

/**
 * The inputs whose values the functions below read, besides links. A graph with another value here may fail where the
 * first one does not (`alike-graphs.ts`).
 */
export const inputsReadAhead: ReadonlySet<string> = new Set([
  ...["batch_size", "amount", "width", "height"],
  ...["format", "format.codec", "codec", "model_name"],
]);

/**
 * Finds failures that a server notices only while it runs the graph, minutes later, although the graph already shows
 * them. Call it only for graphs that are otherwise valid.
 */
export function foreseeableFailures(
  workflow: Workflow,
  needed: ReadonlySet<string>,
  objectInfo: ObjectInfo,
): GraphValidation {
  const result: GraphValidation = { errors: [], warnings: [] };
  for (const nodeId of needed) {
    const node = workflow[nodeId];
    if (node === undefined) continue;
    const frames = tooManyFrames(workflow, node, objectInfo);
    const error = frames.error ?? oddFrameSize(workflow, nodeId, node) ?? brokenCombine(nodeId, node);
    if (error !== undefined) result.errors.push(error);
    const warning = frames.warning ?? unfetchableOutput(nodeId, node);
    if (warning !== undefined) result.warnings.push(warning);
  }
  return result;
}

/**
 * Finds a sampler whose AnimateDiff model has no context options and whose latents have more frames than the motion
 * module can do.
 */
function tooManyFrames(
  workflow: Workflow,
  sampler: WorkflowNode,
  objectInfo: ObjectInfo,
): { error?: GraphProblem; warning?: GraphProblem } {
  const latent = linkOf(sampler.inputs["latent_image"]);
  if (latent === undefined) return {};
  const frames = framesOf(workflow, latent.nodeId);
  if (frames === undefined) return {};
  const culprit = motionModelWithoutContext(workflow, sampler, objectInfo);
  if (culprit === undefined) return {};
  const known = framesMaxOf(workflow, culprit.node);
  const max = known ?? framesMaxUsually;
  if (frames <= max) return {};
  const limit =
    known === undefined
      ? `${frames} frames are more than the ${max} that most motion modules can do at once; if this one is no exception`
      : `${frames} frames are more than the ${max} that this motion module can do at once`;
  const problem = inputProblem(culprit.nodeId, culprit.node, "context_options", {
    code: "context_options_missing",
    text: `${limit}${known === undefined ? "," : ";"} link a node like ADE_StandardStaticContextOptions here.`,
    received: frames,
    accepted: "CONTEXT_OPTIONS",
  });
  return known === undefined ? { warning: problem } : { error: problem };
}

/**
 * The most frames that the loader's motion module can do; `undefined` if the graph does not show it or stretches it.
 */
function framesMaxOf(workflow: Workflow, loader: WorkflowNode): number | undefined {
  // Settings may stretch the module's positions.
  if (linkOf(loader.inputs["ad_settings"]) !== undefined) return undefined;
  const source = linkOf(loader.inputs["m_models"]);
  const chain = [
    loader,
    ...(source === undefined ? [] : [workflow[source.nodeId]]),
    ...[
      ...upstream(workflow, source === undefined ? undefined : workflow[source.nodeId], ["motion_model"]),
    ].map(({ node }) => node),
  ];
  if (chain.some((node) => linkOf(node?.inputs["ad_settings"]) !== undefined)) return undefined;
  const name = chain.map((node) => node?.inputs["model_name"]).find((one) => typeof one === "string") ?? "";
  return framesMaxOfModule(name);
}

function motionModelWithoutContext(
  workflow: Workflow,
  sampler: WorkflowNode,
  objectInfo: ObjectInfo,
): { nodeId: string; node: WorkflowNode } | undefined {
  for (const { nodeId, node } of upstream(workflow, sampler, ["model"])) {
    const definition = objectInfo[node.class_type];
    if (definition === undefined || specOf(definition, "context_options") === undefined) continue;
    if (linkOf(node.inputs["context_options"]) !== undefined) return undefined;
    // ADE_UseEvolvedSampling without motion models only samples images.
    const hasMotion =
      specOf(definition, "m_models") === undefined || linkOf(node.inputs["m_models"]) !== undefined;
    return hasMotion ? { nodeId, node } : undefined;
  }
  return undefined;
}

/** Frames in a batch of latents, as far as the graph shows them. */
function framesOf(workflow: Workflow, nodeId: string): number | undefined {
  let factor = 1;
  for (const { node } of [
    { node: workflow[nodeId] },
    ...upstream(workflow, workflow[nodeId], latentInputs),
  ]) {
    const { batch_size: batchSize, amount } = node?.inputs ?? {};
    if (/^RepeatLatentBatch$/.test(node?.class_type ?? "") && numberOf(amount) !== undefined)
      factor *= numberOf(amount) ?? 1;
    else if (/Empty.*Latent/i.test(node?.class_type ?? "") && numberOf(batchSize) !== undefined)
      return (numberOf(batchSize) ?? 1) * factor;
  }
  return undefined;
}

const latentInputs = ["samples", "latent_image", "latent"];
const imageInputs = ["images", "image", "image1", "video"];

/**
 * ComfyUI's own h264 encoder accepts only even widths and heights. VideoHelperSuite pads odd sizes, and VP9 accepts
 * them.
 */
function oddFrameSize(workflow: Workflow, nodeId: string, node: WorkflowNode): GraphProblem | undefined {
  if (node.class_type !== "SaveVideo" || !endsInH264(node)) return undefined;
  const size = imageSizeOf(workflow, node);
  if (size === undefined || (size.width % 2 === 0 && size.height % 2 === 0)) return undefined;
  return inputProblem(nodeId, node, "video", {
    code: "odd_frame_size",
    text: `its frames are ${size.width}×${size.height}, and h264 takes even widths and heights only.`,
    received: size,
    accepted: { step: 2 },
  });
}

/**
 * Whether the node writes h264. Newer servers can also write AV1, which accepts every size. Where the graph leaves the
 * codec to the server, the server takes h264, except for WebM.
 */
function endsInH264({ inputs }: WorkflowNode): boolean {
  const codec = inputs["format.codec"] ?? inputs["codec"] ?? "auto";
  return inputs["format"] !== "webm" && (codec === "auto" || codec === "h264");
}

/** Classes whose output picture has the size of their input picture. */
const keepsSize = /^(CreateVideo|Image(Invert|Blur|Sharpen|Quantize|Batch|FromBatch)|RepeatImageBatch)$/;

function imageSizeOf(workflow: Workflow, node: WorkflowNode): { width: number; height: number } | undefined {
  for (const { node: source } of upstream(workflow, node, imageInputs)) {
    if (/^(EmptyImage|ImageScale)$/.test(source.class_type)) {
      const [width, height] = [numberOf(source.inputs["width"]) ?? 0, numberOf(source.inputs["height"]) ?? 0];
      // A width or height of 0 means that the node keeps the proportions, so the result's size is unknown here.
      return width > 0 && height > 0 ? { width, height } : undefined;
    }
    if (!keepsSize.test(source.class_type)) return undefined;
  }
  return undefined;
}

/**
 * The deprecated node passes every check of the server, and raises only after all the sampling is done (GRAPHS,
 * "Video").
 */
function brokenCombine(nodeId: string, node: WorkflowNode): GraphProblem | undefined {
  const format = node.inputs["format"];
  if (
    node.class_type !== "ADE_AnimateDiffCombine" ||
    typeof format !== "string" ||
    !format.startsWith("video/")
  ) {
    return undefined;
  }
  return inputProblem(nodeId, node, "format", {
    code: "node_fails_at_run_time",
    text: `this deprecated node raises on every video format; use VHS_VideoCombine, or CreateVideo and SaveVideo.`,
    received: format,
    accepted: ["image/gif", "image/webp"],
  });
}

/** A series of pictures under one name with `%03d` in it, which the server cannot serve (GRAPHS 1). */
function unfetchableOutput(nodeId: string, node: WorkflowNode): GraphProblem | undefined {
  const format = node.inputs["format"];
  if (
    node.class_type !== "VHS_VideoCombine" ||
    typeof format !== "string" ||
    !/^video\/(8|16)bit-png$/.test(format)
  ) {
    return undefined;
  }
  return inputProblem(nodeId, node, "format", {
    code: "output_not_fetchable",
    text: `${format} writes a series of files that cannot be fetched from the server.`,
    received: format,
  });
}

/** The chain of nodes that the first of the given inputs leads to, nearest first. The graph has no cycles here. */
function* upstream(
  workflow: Workflow,
  node: WorkflowNode | undefined,
  inputs: readonly string[],
): Generator<{ nodeId: string; node: WorkflowNode }> {
  for (let current = node; current !== undefined;) {
    const { inputs: values }: WorkflowNode = current;
    const link = inputs.map((input) => linkOf(values[input])).find((found) => found !== undefined);
    const next: WorkflowNode | undefined = link === undefined ? undefined : workflow[link.nodeId];
    if (link !== undefined && next !== undefined) yield { nodeId: link.nodeId, node: next };
    current = next;
  }
}
