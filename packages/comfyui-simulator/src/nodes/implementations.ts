import { audioNodes } from "./kinds/audio-nodes.ts";
import { conditioningNodes } from "./kinds/conditioning-nodes.ts";
import { echoNodes } from "./kinds/echo-nodes.ts";
import { imageNodes } from "./kinds/image-nodes.ts";
import { latentNodes } from "./kinds/latent-nodes.ts";
import { loaderNodes } from "./kinds/loader-nodes.ts";
import { logicNodes } from "./kinds/logic-nodes.ts";
import { mediaLoaderNodes } from "./kinds/media-loader-nodes.ts";
import { motionNodes } from "./kinds/motion-nodes.ts";
import {
  NodeException,
  type NeededInputs,
  type NodeImplementation,
  type NodeResult,
  type NodeRun,
} from "./node-run.ts";
import { newerSavingNodes } from "./kinds/newer-saving-nodes.ts";
import { asyncNodes, lazyNodes, recordingFlowNodes } from "./kinds/recording-flow-nodes.ts";
import { recordingNodes } from "./kinds/recording-nodes.ts";
import { resizeNodes } from "./kinds/resize-nodes.ts";
import { samplerNodes } from "./kinds/sampler-nodes.ts";
import { savingNodes } from "./kinds/saving-nodes.ts";
import { tellingNodes } from "./kinds/telling-nodes.ts";
import { textNodes } from "./kinds/text-nodes.ts";
import { videoNodes } from "./kinds/video-nodes.ts";
import { videoSuiteNodes } from "./kinds/video-suite-nodes.ts";

const allImplementations: ReadonlyMap<string, NodeImplementation> = new Map(
  [
    loaderNodes,
    conditioningNodes,
    latentNodes,
    samplerNodes,
    motionNodes,
    imageNodes,
    savingNodes,
    videoNodes,
    videoSuiteNodes,
    textNodes,
    logicNodes,
    resizeNodes,
    audioNodes,
    mediaLoaderNodes,
    newerSavingNodes,
    recordingNodes,
    recordingFlowNodes,
    echoNodes,
    tellingNodes,
  ].flatMap((family) => Object.entries(family)),
);

/** The classes that run here, by name. */
export const nodeImplementations = {
  names: (): string[] => [...allImplementations.keys()],

  /** Whether other nodes run while a node of this class waits. */
  isAsync: (className: string): boolean => asyncNodes.has(className),

  /**
   * The function by which a class with lazy inputs chooses the inputs that it needs; undefined if the class has none.
   */
  neededInputs: (className: string): NeededInputs | undefined => lazyNodes.get(className),

  /** Runs a node. A class that is only described, not simulated, fails like a node with a bug. */
  async run(run: NodeRun): Promise<NodeResult> {
    const implementation = allImplementations.get(run.className);
    if (implementation === undefined) {
      throw new NodeException("NotImplementedError", `${run.className} is not simulated`);
    }
    return implementation(run);
  },
};
