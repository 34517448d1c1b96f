import { type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { opaque, type ModelValue, type NodeValue } from "../node-values.ts";
import { modelInput, textInput } from "../read-input.ts";

/** A motion module loads slower than other add-ons. */
const moduleShare = 0.6;

const settings: NodeImplementation = (run) => ({ outputs: [opaque(run.className)] });

/** AnimateDiff-Evolved: nodes that give a model its motion. */
export const motionNodes: Readonly<Record<string, NodeImplementation>> = {
  ADE_AnimateDiffLoaderGen1: loadOnto,
  ADE_AnimateDiffLoaderWithContext: loadOnto,
  AnimateDiffLoaderV1: async (run) => ({
    outputs: [...(await loadOnto(run)).outputs, run.inputs.get("latents") ?? opaque("LATENT")],
  }),
  ADE_LoadAnimateDiffModel: async (run) => {
    const name = textInput(run, "model_name");
    await loadModule(run, name);
    return { outputs: [opaque("MOTION_MODEL_ADE", name)] };
  },
  ADE_ApplyAnimateDiffModelSimple: passModule,
  ADE_ApplyAnimateDiffModel: passModule,
  ADE_UseEvolvedSampling: (run) => {
    const modules = run.inputs.get("m_models");
    const model = modelInput(run, "model");
    return { outputs: [modules?.kind === "opaque" ? withMotion(run, model, modules.text) : model] };
  },
  ADE_StandardStaticContextOptions: settings,
  ADE_StandardUniformContextOptions: settings,
  ADE_LoopedUniformContextOptions: settings,
  ADE_BatchedContextOptions: settings,
  ADE_AnimateDiffUniformContextOptions: settings,
  ADE_AnimateDiffSettings: settings,
  ADE_AnimateDiffSamplingSettings: settings,
  ADE_AnimateDiffLoRALoader: settings,
  ADE_AnimateDiffKeyframe: settings,
  ADE_MultivalDynamic: settings,
  ADE_NoiseLayerAdd: settings,
  ADE_IterationOptsDefault: settings,
  ADE_IterationOptsFreeInit: settings,
};

async function loadOnto(run: NodeRun): Promise<NodeResult> {
  const name = textInput(run, "model_name");
  await loadModule(run, name);
  return { outputs: [withMotion(run, modelInput(run, "model"), name)] };
}

async function loadModule(run: NodeRun, name: string): Promise<void> {
  if (run.loaded.add(name)) await run.wait(run.timing.loadMs * moduleShare);
}

function withMotion(run: NodeRun, model: ModelValue, name: string): ModelValue {
  const context: NodeValue | undefined = run.inputs.get("context_options");
  return { ...model, motion: { model: name, hasContext: context !== undefined && context.kind !== "plain" } };
}

function passModule(run: NodeRun): NodeResult {
  return { outputs: [run.inputs.get("motion_model") ?? opaque("M_MODELS")] };
}
