import { type WorkflowNode } from "../graph/workflow.ts";

/**
 * How much of a prompt's time a node takes, in units of one sampling step. The figures are rough, but good enough for a
 * percentage that neither jumps nor stops. Samplers dominate; a combine step encodes the whole video; loaders read
 * gigabytes the first time and nothing while the model is still loaded.
 */
const weights: readonly (readonly [classType: RegExp, weight: number])[] = [
  [/Checkpoint|UNETLoader|AnimateDiffLoader|LoadAnimateDiffModel/i, 3],
  [/VideoCombine|SaveVideo|SaveWEBM|SaveAnimated|AnimateDiffCombine/i, 4],
  [/UpscaleWithModel/i, 4],
  [/VAEDecode|VAEEncode/i, 2],
  [/Loader/i, 1],
];
const weightOtherwise = 0.5;
const stepsOtherwise = 20;
const sampler = /Sampler(?!Select)/i;

/**
 * The weight of a node. A sampler's weight is its number of steps, so that two samplers share the progress bar by their
 * steps.
 */
export function weightOf(node: WorkflowNode): number {
  if (sampler.test(node.class_type)) {
    const steps = Number(node.inputs["steps"]);
    return steps > 0 ? Math.min(steps, 1000) : stepsOtherwise;
  }
  return weights.find(([classType]) => classType.test(node.class_type))?.[1] ?? weightOtherwise;
}

/** How long a node took in earlier runs of such a graph. */
export interface MeasuredNode {
  /** Of the whole node, or of each of its steps. */
  ms: number;
  /** How many steps it makes; `null` = it makes none, and `ms` is the whole. */
  steps: number | null;
}

/** A node that is not among the measured ones of its graph took hardly any time. */
const unmeasuredMs = 1;

/** The weight of a node in a graph of which earlier runs were measured. @param stepsReported 0 = none yet */
export function weightFromMeasured(measured: MeasuredNode | undefined, stepsReported: number): number {
  if (measured === undefined) return unmeasuredMs;
  if (measured.steps === null) return measured.ms;
  return measured.ms * (stepsReported > 1 ? stepsReported : measured.steps);
}

/** A node that reports steps is slower than the weight of its class says, whatever the class is. */
export function weightFromSteps(weight: number, stepsReported: number): number {
  return Math.max(weight, Math.min(stepsReported, stepsOtherwise) / 2);
}
