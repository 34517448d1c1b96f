import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { type VideoParameters } from "../parameters/video-parameters.ts";

const betaSchedule = "autoselect";

/**
 * Adds a motion model to a model. The graph always has context options: without them a server accepts more frames than
 * the motion model can process at once (32 for most), and then fails (GRAPHS, Video).
 */
export function animate(graph: GraphBuilder, model: Output, video: VideoParameters): Output {
  const contextOptions = windows(graph, video);
  const lora = motionLora(graph, video.motionLoras ?? []);
  const withLora = lora === null ? {} : { motion_lora: lora };
  const parameters = { model_name: "motionModel", class_type: "motionLoader" };
  if (video.motionLoader !== "gen2") {
    return graph.add(
      "ADE_AnimateDiffLoaderGen1",
      "Load motion model",
      {
        model,
        model_name: video.motionModel,
        beta_schedule: betaSchedule,
        context_options: contextOptions,
        ...withLora,
      },
      video.motionLoader === undefined ? { model_name: "motionModel" } : parameters,
    )(0);
  }
  const motionModel = graph.add(
    "ADE_LoadAnimateDiffModel",
    "Load motion model",
    { model_name: video.motionModel },
    parameters,
  )(0);
  const applied = graph.add(
    "ADE_ApplyAnimateDiffModelSimple",
    "Apply motion model",
    { motion_model: motionModel, ...withLora },
    { class_type: "motionLoader" },
  )(0);
  return graph.add(
    "ADE_UseEvolvedSampling",
    "Animate",
    { model, beta_schedule: betaSchedule, m_models: applied, context_options: contextOptions },
    { class_type: "motionLoader" },
  )(0);
}

const contextClasses = {
  "standard-static": "ADE_StandardStaticContextOptions",
  "standard-uniform": "ADE_StandardUniformContextOptions",
  "looped-uniform": "ADE_LoopedUniformContextOptions",
  batched: "ADE_BatchedContextOptions",
} as const;

function windows(graph: GraphBuilder, video: VideoParameters): Output {
  const { contextLength, contextOverlap, contextKind = "standard-static" } = video;
  const isUniform = contextKind === "standard-uniform" || contextKind === "looped-uniform";
  return graph.add(
    contextClasses[contextKind],
    "Frame windows",
    {
      context_length: contextLength,
      ...(isUniform ? { context_stride: video.contextStride ?? 1 } : {}),
      ...(contextKind === "batched" ? {} : { context_overlap: contextOverlap }),
      ...(contextKind === "looped-uniform" ? { closed_loop: video.closedLoop ?? false } : {}),
    },
    {
      ...{ context_length: "contextLength", context_overlap: "contextOverlap", closed_loop: "closedLoop" },
      context_stride: "contextStride",
      ...(video.contextKind === undefined ? {} : { class_type: "contextKind" }),
    },
  )(0);
}

function motionLora(graph: GraphBuilder, loras: NonNullable<VideoParameters["motionLoras"]>): Output | null {
  let last: Output | null = null;
  for (const [index, { name, strength }] of loras.entries()) {
    last = graph.add(
      "ADE_AnimateDiffLoRALoader",
      `Load motion LoRA ${name}`,
      { name, strength, ...(last === null ? {} : { prev_motion_lora: last }) },
      {
        name: `motionLoras.${index}.name`,
        strength: `motionLoras.${index}.strength`,
        class_type: "motionLoras",
      },
    )(0);
  }
  return last;
}
