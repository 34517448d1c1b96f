import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { type Components, type ModelParameters } from "../parameters/model-fields.ts";

/** The model, text encoder and VAE that make a picture. */
export interface Models {
  model: Output;
  clip: Output;
  vae: Output;
}

/**
 * Loads a checkpoint, or a model that comes in parts. Then adds the nodes that change them, in the order that A1111 and
 * other programs use.
 */
export function loadModels(graph: GraphBuilder, given: ModelParameters, textEncoderType = "flux"): Models {
  const loaded =
    given.components === undefined
      ? loadCheckpoint(graph, given.model)
      : { ...loadComponents(graph, given.components, textEncoderType), vae: null };
  const vae = given.vae === undefined ? loaded.vae : loadVae(graph, given.vae);
  if (vae === null) throw new Error("Components without a VAE were not refused.");
  const clip = given.clipSkip === undefined ? loaded.clip : skipLayers(graph, loaded.clip, given.clipSkip);
  return { ...applyLoras(graph, { model: loaded.model, clip }, given.loras), vae };
}

function loadCheckpoint(graph: GraphBuilder, model: string | undefined): Models {
  if (model === undefined) throw new Error("The default model was not filled in.");
  const output = graph.add(
    "CheckpointLoaderSimple",
    "Load checkpoint",
    { ckpt_name: model },
    { ckpt_name: "model" },
  );
  return { model: output(0), clip: output(1), vae: output(2) };
}

function loadComponents(
  graph: GraphBuilder,
  components: Components,
  defaultType: string,
): { model: Output; clip: Output } {
  const { unet, weightType, shift } = components;
  const loaded = graph.add(
    "UNETLoader",
    "Load diffusion model",
    { unet_name: unet, weight_dtype: weightType },
    { unet_name: "components.unet", weight_dtype: "components.weightType" },
  )(0);
  const model =
    shift === undefined
      ? loaded
      : graph.add(
          "ModelSamplingSD3",
          "Shift the schedule",
          { model: loaded, shift },
          { shift: "components.shift" },
        )(0);
  return { model, clip: loadTextEncoders(graph, components, defaultType) };
}

function loadTextEncoders(
  graph: GraphBuilder,
  { textEncoders, textEncoderType }: Components,
  defaultType: string,
): Output {
  const type = textEncoderType ?? defaultType;
  const [first = "", second] = textEncoders;
  if (second === undefined) {
    return graph.add(
      "CLIPLoader",
      "Load text encoder",
      { clip_name: first, type },
      { clip_name: "components.textEncoders.0", type: "components.textEncoderType" },
    )(0);
  }
  return graph.add(
    "DualCLIPLoader",
    "Load text encoders",
    { clip_name1: first, clip_name2: second, type },
    {
      clip_name1: "components.textEncoders.0",
      clip_name2: "components.textEncoders.1",
      type: "components.textEncoderType",
    },
  )(0);
}

function loadVae(graph: GraphBuilder, vae: string): Output {
  return graph.add("VAELoader", "Load VAE", { vae_name: vae }, { vae_name: "vae" })(0);
}

function skipLayers(graph: GraphBuilder, clip: Output, clipSkip: number): Output {
  return graph.add(
    "CLIPSetLastLayer",
    "Skip layers of CLIP",
    { clip, stop_at_clip_layer: -clipSkip },
    { stop_at_clip_layer: "clipSkip" },
  )(0);
}

function applyLoras(
  graph: GraphBuilder,
  from: { model: Output; clip: Output },
  loras: ModelParameters["loras"],
): { model: Output; clip: Output } {
  let { model, clip } = from;
  for (const [index, { name, strength, clipStrength }] of loras.entries()) {
    const output = graph.add(
      "LoraLoader",
      `Load LoRA ${name}`,
      { model, clip, lora_name: name, strength_model: strength, strength_clip: clipStrength ?? strength },
      {
        lora_name: `loras.${index}.name`,
        strength_model: `loras.${index}.strength`,
        strength_clip: `loras.${index}.${clipStrength === undefined ? "strength" : "clipStrength"}`,
      },
    );
    [model, clip] = [output(0), output(1)];
  }
  return { model, clip };
}
