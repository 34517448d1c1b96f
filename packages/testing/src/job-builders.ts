import { v7 as uuidv7 } from "uuid";
import {
  promptTextOf,
  type JobFailure,
  type JobProgress,
  type Lane,
  type NewJob,
  type NewOutput,
} from "@genga/jobs";

/** A minimal graph as JSON text; a different prompt makes a different graph. */
export function buildWorkflow(prompt = "a girl under a cherry tree"): string {
  return JSON.stringify({
    "1": { class_type: "CLIPTextEncode", inputs: { text: prompt, clip: ["2", 1] } },
    "2": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "counterfeit_v3.safetensors" } },
  });
}

/** A lane whose jobs need a checkpoint of its name. */
export function buildLane(name: string, changes: Partial<Lane["needs"]> = {}): Lane {
  const model = `${name}.safetensors`;
  const models = [{ classType: "CheckpointLoaderSimple", input: "ckpt_name", name: model }];
  const needs = { classTypes: ["CLIPTextEncode", "CheckpointLoaderSimple"], models, labels: [], ...changes };
  return { name, mainModel: model, needs };
}

/** A job to be inserted, with defaults for everything that is not given. */
export function buildJob(changes: Partial<NewJob> & { prompt?: string } = {}): NewJob {
  const { prompt = "a girl under a cherry tree", ...given } = changes;
  const asked = { parameters: { prompt, seed: 7 }, workflow: buildWorkflow(prompt), ...given };
  return {
    id: uuidv7(),
    type: "image",
    priority: "normal",
    lane: null,
    batchIndex: null,
    project: null,
    scene: null,
    shot: null,
    tags: [],
    requires: [],
    attemptsMax: 1,
    timeoutMs: 600_000,
    runAt: null,
    expiresAt: null,
    uploadIds: [],
    promptText: promptTextOf(asked),
    ...asked,
  };
}

/** A stored picture; each one has a storage key of its own. */
export function buildOutput(changes: Partial<NewOutput> = {}): NewOutput {
  return {
    nodeId: "9",
    key: "images",
    index: 0,
    kind: "file",
    filename: "genga_00001_.png",
    mediaType: "image/png",
    bytes: 1_234,
    sha256: "ab".repeat(32),
    width: 512,
    height: 768,
    durationMs: null,
    storageKey: `jobs/${uuidv7()}/1-1/0-genga.png`,
    text: null,
    ...changes,
  };
}

export function buildFailure(changes: Partial<JobFailure> = {}): JobFailure {
  return { class: "execution", code: "node-failed", message: "The sampler raised.", ...changes };
}

export function buildProgress(percent: number, changes: Partial<JobProgress> = {}): JobProgress {
  return {
    percent,
    node: "3",
    nodeTitle: "KSampler",
    step: 4,
    steps: 20,
    nodesDone: 2,
    nodesTotal: 7,
    remainingLowMs: null,
    remainingHighMs: null,
    ...changes,
  };
}
