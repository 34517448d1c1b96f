import { type PromptMessage } from "../wire/messages.ts";
import { type MeasuredNode, weightFromMeasured, weightFromSteps, weightOf } from "./node-weights.ts";
import { nodeTitleOf, type Workflow } from "../graph/workflow.ts";

/** `submitted` = in the server's queue; `saving` = the server is done, the outputs are being fetched. */
export type ProgressPhase = "waiting" | "submitted" | "executing" | "saving";

/** The progress of one attempt, as its messages tell it. The worker stores and publishes it as a `JobProgress`. */
export interface Progress {
  /** 0…100, never going back within an attempt; only the code that has stored the outputs sets 100. */
  percent: number;
  phase: ProgressPhase;
  /** Id of the node that runs; if several nodes run (asynchronous ones), the one that began last. */
  node: string | null;
  /** The titles of all nodes that run. */
  nodeTitle: string | null;
  /** Steps of that node, where it reports any. */
  step: number | null;
  steps: number | null;
  nodesDone: number;
  nodesTotal: number;
}

interface NodeState {
  title: string;
  weight: number;
  /** 0…1 */
  done: number;
  /**
   * The server reuses the node's result from an earlier prompt, so the node takes no time and does not count in the
   * percentage.
   */
  isCached: boolean;
}

/** The state of the reducer. Treat it as opaque; show only `progress`. */
export interface ProgressState {
  readonly progress: Progress;
  readonly nodes: ReadonlyMap<string, NodeState>;
  /** Ids of the nodes that run, in the order in which they began. */
  readonly running: readonly string[];
  /** What earlier runs of such a graph measured, by node id; `null` = nothing, so weights are guessed from classes. */
  readonly measured: ReadonlyMap<string, MeasuredNode> | null;
}

/** The server may still decode or save after its last progress message, so messages alone never give more than this. */
const percentMax = 99;

/**
 * The most that a node counts while only nodes that it made at run time report, or while it is silent; the node itself
 * reports when it is done.
 */
const partDoneMax = 0.95;
/** At most this many titles are named when many nodes run. */
const titlesMax = 3;

/** The state before anything has happened. */
export function initialProgress(workflow: Workflow): ProgressState {
  const nodes = new Map(
    Object.entries(workflow).map(([id, node]): [string, NodeState] => [
      id,
      { title: nodeTitleOf(node), weight: weightOf(node), done: 0, isCached: false },
    ]),
  );
  return { progress: { ...nothingYet, nodesTotal: nodes.size }, nodes, running: [], measured: null };
}

/** Weighs the nodes by what earlier runs measured. The percentage does not fall, whatever it was. */
export function weighNodes(state: ProgressState, measured: ReadonlyMap<string, MeasuredNode>): ProgressState {
  const nodes = new Map(
    [...state.nodes].map(([id, node]): [string, NodeState] => [
      id,
      { ...node, weight: weightFromMeasured(measured.get(id), 0) },
    ]),
  );
  const { percent } = measure(nodes);
  const later = withProgress(state, { percent: Math.max(state.progress.percent, percent) });
  return { ...later, nodes, measured };
}

/**
 * The running node has sent nothing for so long. If it was measured, it has come as much further as it usually does in that
 * time, but never to its next message.
 */
export function passTime(state: ProgressState, silentMs: number): ProgressState {
  const { node, step, steps } = state.progress;
  const measured = node === null ? undefined : state.measured?.get(node);
  if (node === null || measured === undefined || !(measured.ms > 0)) return state;
  const share = Math.min(silentMs / measured.ms, partDoneMax);
  if (measured.steps === null) return advance(state, [[node, { done: share }]]);
  const stepsAll = steps ?? measured.steps;
  return stepsAll > 0 ? advance(state, [[node, { done: ((step ?? 0) + share) / stepsAll }]]) : state;
}

const nothingYet: Progress = {
  percent: 0,
  phase: "waiting",
  node: null,
  nodeTitle: null,
  step: null,
  steps: null,
  nodesDone: 0,
  nodesTotal: 0,
};

/** The prompt has been accepted by the server and waits in its queue. */
export function markSubmitted(state: ProgressState): ProgressState {
  return state.progress.phase === "waiting" ? withProgress(state, { phase: "submitted" }) : state;
}

/**
 * Applies one message. Pure; the caller passes only messages about this prompt. A lost message does no harm: each
 * `progress_state` describes all nodes so far, and other messages only add to that. Only `execution_cached` names the
 * cached nodes: without that message they count in the percentage like nodes that ran.
 */
export function reduceProgress(state: ProgressState, message: PromptMessage): ProgressState {
  switch (message.type) {
    case "execution_start":
      return withProgress(state, { phase: laterPhase(state, "executing") });
    case "execution_cached":
      return advance(
        state,
        message.data.nodes.map((id) => [id, { done: 1, isCached: true }]),
      );
    case "progress_state":
      return reduceProgressState(state, message.data.nodes);
    case "executing":
      return message.data.node === null
        ? finish(state)
        : enterNode(state, message.data.display_node ?? message.data.node);
    case "progress":
      return typeof message.data.node === "string"
        ? stepNode(state, message.data.node, message.data.value, message.data.max)
        : state;
    case "executed":
      // A node that was made at run time does not tell which node made it.
      return advance(state, [[message.data.node, { done: 1 }]]);
    case "execution_success":
      return finish(
        advance(
          state,
          [...state.nodes.keys()].map((id) => [id, { done: 1 }]),
        ),
      );
    case "execution_error":
    case "execution_interrupted":
      return enterNode(state, message.data.node_id);
  }
}

type NodesReported = Extract<PromptMessage, { type: "progress_state" }>["data"]["nodes"];

/**
 * Nodes made at run time (expanded subgraphs) report under the node that made them; that node is finished only when it
 * reports its own end. Several nodes run side by side if they are asynchronous, or if one waits for a lazy input
 * (PROTOCOL-0.28 3): the node that began last is shown until it ends.
 */
function reduceProgressState(state: ProgressState, reported: NodesReported): ProgressState {
  const changes: NodeChange[] = [];
  const running = new Map<string, { value: number; max: number }>();
  for (const [id, { value, max, state: nodeState, display_node_id: shown }] of Object.entries(reported)) {
    const isInGraph = state.nodes.has(id);
    if (nodeState === "running") {
      const shownId = isInGraph ? id : (shown ?? id);
      if (isInGraph || !running.has(shownId) || max > 1) running.set(shownId, { value, max });
      const done = max > 0 ? value / max : 0;
      changes.push([shownId, { done: isInGraph ? done : Math.min(done, partDoneMax), stepsReported: max }]);
    } else if (nodeState === "finished" && isInGraph) {
      changes.push([id, { done: 1, stepsReported: max }]);
    }
  }
  const begun = [...running.keys()].filter((id) => !state.running.includes(id));
  // A JSON object does not keep the order of ids that are numbers.
  const ids = [...state.running.filter((id) => running.has(id)), ...begun];
  const current = ids.find((id) => id === state.progress.node);
  const shown = begun.at(-1) ?? current ?? ids.at(-1);
  const advanced = { ...advance(state, changes), running: ids };
  const steps = shown === undefined ? undefined : running.get(shown);
  if (shown === undefined || steps === undefined) return advanced;
  return showSteps(enterNode(advanced, shown), steps.value, steps.max);
}

function stepNode(state: ProgressState, id: string, value: number, max: number): ProgressState {
  // The node was made at run time. The `progress_state` before this message named its parent and its progress.
  if (state.nodes.size > 0 && !state.nodes.has(id)) return state;
  const advanced = advance(state, [[id, { done: max > 0 ? value / max : 0, stepsReported: max }]]);
  const isBesideOthers = state.running.includes(id) && state.running.includes(state.progress.node ?? "");
  if (isBesideOthers && id !== state.progress.node) return advanced;
  return showSteps(enterNode(advanced, id), value, max);
}

/**
 * Shows a node. A node that was not known to run is taken as the only running node, because a `progress_state` lists
 * all of them.
 */
function enterNode(state: ProgressState, id: string): ProgressState {
  const running = state.running.includes(id) ? state.running : [id];
  const nodeTitle = titlesOf(running, state.nodes);
  const { node, phase, nodeTitle: titleBefore } = state.progress;
  if (node === id && phase === "executing" && nodeTitle === titleBefore) return { ...state, running };
  return {
    ...withProgress(state, {
      phase: laterPhase(state, "executing"),
      node: id,
      nodeTitle,
      ...(node !== id && { step: null, steps: null }),
    }),
    running,
  };
}

function titlesOf(ids: readonly string[], nodes: ReadonlyMap<string, NodeState>): string | null {
  const titles = [...new Set(ids.flatMap((id) => nodes.get(id)?.title ?? []))];
  const more = titles.length - titlesMax;
  if (titles.length === 0) return null;
  return more > 0 ? `${titles.slice(0, titlesMax).join(", ")} and ${more} more` : titles.join(", ");
}

/** A node without a progress bar reports 0 of 1, then 1 of 1: those are not shown as steps. */
function showSteps(state: ProgressState, value: number, max: number): ProgressState {
  return max > 1 ? withProgress(state, { step: value, steps: max }) : state;
}

function finish(state: ProgressState): ProgressState {
  const progress = { phase: "saving", node: null, nodeTitle: null, step: null, steps: null } as const;
  return { ...withProgress(state, progress), running: [] };
}

type NodeChange = [id: string, change: { done: number; isCached?: boolean; stepsReported?: number }];

/** Applies changes to nodes (which only ever advance) and works out the figures that follow from them. */
function advance(state: ProgressState, changes: NodeChange[]): ProgressState {
  let nodes: Map<string, NodeState> | undefined;
  for (const [id, change] of changes) {
    const node = (nodes ?? state.nodes).get(id);
    if (node === undefined) continue;
    const done = Math.min(1, Math.max(node.done, change.done));
    const isCached = node.isCached || (change.isCached ?? false);
    const { stepsReported = 0 } = change;
    const weight =
      state.measured === null
        ? weightFromSteps(node.weight, stepsReported)
        : stepsReported > 1
          ? weightFromMeasured(state.measured.get(id), stepsReported)
          : node.weight;
    if (done === node.done && isCached === node.isCached && weight === node.weight) continue;
    nodes ??= new Map(state.nodes);
    nodes.set(id, { title: node.title, weight, done, isCached });
  }
  if (nodes === undefined) return state;
  const { percent, nodesDone } = measure(nodes);
  return {
    ...withProgress(state, { nodesDone, percent: Math.max(state.progress.percent, percent) }),
    nodes,
  };
}

function measure(nodes: ReadonlyMap<string, NodeState>): { percent: number; nodesDone: number } {
  let total = 0;
  let done = 0;
  let nodesDone = 0;
  for (const node of nodes.values()) {
    if (node.done === 1) nodesDone += 1;
    if (node.isCached) continue;
    total += node.weight;
    done += node.weight * node.done;
  }
  const share = total > 0 ? done / total : nodesDone > 0 ? 1 : 0;
  return { percent: Math.min(percentMax, Math.round(share * 1000) / 10), nodesDone };
}

const phases: readonly ProgressPhase[] = ["waiting", "submitted", "executing", "saving"];

/** A late message never moves the phase backwards. */
function laterPhase(state: ProgressState, phase: ProgressPhase): ProgressPhase {
  return phases.indexOf(phase) > phases.indexOf(state.progress.phase) ? phase : state.progress.phase;
}

/** The state itself where nothing changes: each step comes in two messages (PROTOCOL 3), and is to be told once. */
function withProgress(state: ProgressState, change: Partial<Progress>): ProgressState {
  const before = state.progress;
  const isSame = Object.entries(change).every(([key, value]) => Reflect.get(before, key) === value);
  return isSame ? state : { ...state, progress: { ...before, ...change } };
}
