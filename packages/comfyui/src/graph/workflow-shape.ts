import { createHash } from "node:crypto";

import { numberOf } from "../json/exact-json.ts";
import { linkOf, type Workflow, type WorkflowNode } from "./workflow.ts";

/** What of a graph decides how long it runs. Prompts, seeds and the names of nodes do not. */
export interface WorkflowShape {
  /** Equal for graphs with the same classes, linked in the same way. */
  structure: string;
  /** Equal for graphs of one structure that also have the same sizes, steps, samplers and so on. */
  exact: string;
  /** The sampling steps of all of its nodes; at least 1. */
  steps: number;
  /** Pixels × frames, in pictures of 512 × 512. */
  size: number;
  /** By node id: a key that is equal for the nodes at the same place in graphs of one structure. */
  nodeKeys: ReadonlyMap<string, string>;
}

/** Inputs whose values change how long a node takes, whatever the class. */
const scalingInput =
  /^(steps|start_at_step|end_at_step|denoise|width|height|resolution|megapixels|scale_by|upscale_by|length|frames|num_frames|frame_count|video_frames|frame_load_cap|batch_size|amount|duration|seconds|fps|frame_rate|context_length|tile_size|sampler_name|scheduler)$/;
const framesInput = /^(length|frames|num_frames|frame_count|video_frames|frame_load_cap|batch_size|amount)$/;

const pixelsUsually = 512 * 512;
/** Of numbers in graphs, which clients choose: beyond this they say nothing about time. */
const factorMax = 1e6;

/** Finds out the shape of a graph. A link to a node that only holds a number counts as that number. */
export function workflowShape(workflow: Workflow): WorkflowShape {
  const nodeKeys = keysOfNodes(workflow);
  const keys = [...nodeKeys.values()].sort();
  const structure = hashOf(keys);
  const values = Object.entries(workflow).flatMap(([id, node]) =>
    scalingValuesOf(node, workflow).map(([name, value]) => `${nodeKeys.get(id) ?? ""} ${name} ${value}`),
  );
  return { structure, exact: hashOf([structure, ...values.sort()]), ...workOf(workflow), nodeKeys };
}

/** How many sampling steps a node makes; 0 = it has no such input. */
export function stepsOf(node: WorkflowNode, workflow: Workflow): number {
  const steps = valueOf(node.inputs["steps"], workflow);
  if (steps === undefined || !(steps > 0)) return 0;
  const from = valueOf(node.inputs["start_at_step"], workflow) ?? 0;
  const to = valueOf(node.inputs["end_at_step"], workflow) ?? steps;
  return Math.min(Math.max(Math.min(steps, to) - Math.max(0, from), 0), factorMax);
}

/** Each node's class, and those of the nodes that it reads, up to the loaders. Without recursion: graphs may be deep. */
function keysOfNodes(workflow: Workflow): Map<string, string> {
  const keys = new Map<string, string>();
  const open = new Set<string>();
  for (const first of Object.keys(workflow)) {
    const way = [first];
    for (let id = way.at(-1); id !== undefined; id = way.at(-1)) {
      const node = workflow[id];
      const links = node === undefined || keys.has(id) ? [] : linksOf(node);
      const missing = links.filter(
        ({ nodeId }) => Object.hasOwn(workflow, nodeId) && !keys.has(nodeId) && !open.has(nodeId),
      );
      if (missing.length > 0 && !open.has(id)) {
        open.add(id);
        for (const { nodeId } of missing) way.push(nodeId);
        continue;
      }
      way.pop();
      open.delete(id);
      if (node !== undefined && !keys.has(id)) keys.set(id, keyOf(node, links, keys));
    }
  }
  return keys;
}

function keyOf(node: WorkflowNode, links: readonly NamedLink[], keys: ReadonlyMap<string, string>): string {
  const inputs = links.map(({ name, nodeId, slot }) => [name, keys.get(nodeId) ?? "", slot]);
  return hashOf([node.class_type, JSON.stringify(inputs.sort())]).slice(0, 12);
}

interface NamedLink {
  name: string;
  nodeId: string;
  slot: number;
}

function linksOf(node: WorkflowNode): NamedLink[] {
  return Object.entries(node.inputs).flatMap(([name, value]) => {
    const link = linkOf(value);
    return link === undefined ? [] : { name, ...link };
  });
}

function scalingValuesOf(node: WorkflowNode, workflow: Workflow): [string, string][] {
  return Object.entries(node.inputs).flatMap(([name, value]): [string, string][] => {
    // Without guidance a sampler runs its model once for each step, and otherwise twice.
    if (name === "cfg") return [[name, numberOf(value) === 1 ? "1" : "more"]];
    if (!scalingInput.test(name)) return [];
    if (typeof value === "string") return [[name, value.slice(0, 100)]];
    const number = valueOf(value, workflow);
    return number === undefined ? [] : [[name, String(number)]];
  });
}

function workOf(workflow: Workflow): { steps: number; size: number } {
  let steps = 0;
  let pixels = 0;
  let frames = 1;
  for (const node of Object.values(workflow)) {
    steps += stepsOf(node, workflow);
    const width = valueOf(node.inputs["width"], workflow) ?? 0;
    const height = valueOf(node.inputs["height"], workflow) ?? 0;
    if (width > 0 && height > 0) pixels = Math.max(pixels, width * height);
    for (const [name, value] of Object.entries(node.inputs))
      if (framesInput.test(name)) frames = Math.max(frames, valueOf(value, workflow) ?? 1);
  }
  const area = pixels === 0 ? 1 : pixels / pixelsUsually;
  return {
    steps: Math.min(Math.max(steps, 1), factorMax),
    size: Math.min(Math.max(area * frames, 1 / factorMax), factorMax),
  };
}

/** The number of an input, also if it comes from a node that only holds a number. */
function valueOf(input: unknown, workflow: Workflow): number | undefined {
  const own = numberOf(input);
  if (own !== undefined) return Number.isFinite(own) ? own : undefined;
  const link = linkOf(input);
  if (link === undefined || !Object.hasOwn(workflow, link.nodeId)) return undefined;
  const value = numberOf(workflow[link.nodeId]?.inputs["value"]);
  return value !== undefined && Number.isFinite(value) ? value : undefined;
}

function hashOf(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}
