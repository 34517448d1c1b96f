import { nodeImplementations } from "../nodes/implementations.ts";
import { type NodeClass } from "../nodes/node-catalog.ts";
import { AbandonedException, NodeException, type NodeResult, type NodeRun } from "../nodes/node-run.ts";
import { type NodeValue } from "../nodes/node-values.ts";
import { isDict } from "../python/python-values.ts";
import { AsyncNodes } from "./async-nodes.ts";
import { inputsOf, linkOf, type ExecutionOrder, type Link } from "./execution-order.ts";
import { blockerIn, callsOf, mergeOutputs, mergeUi } from "./map-over-lists.ts";
import { type NodeCache, type NodeUi } from "./node-cache.ts";
import { checkArguments, collectInputs, type NodeInputs } from "./node-inputs.ts";
import { type ProgressRegistry } from "./progress-registry.ts";
import { type QueuedPrompt } from "./prompt-heap.ts";
import { type RunMessages } from "./run-messages.ts";
import { innerId, type RunningGraph } from "./running-graph.ts";

/** The objects that the nodes of one run share. */
export interface RunContext {
  readonly prompt: QueuedPrompt;
  readonly graph: RunningGraph;
  readonly cache: NodeCache;
  readonly order: ExecutionOrder;
  readonly messages: RunMessages;
  readonly progress: ProgressRegistry;
  readonly classOf: (nodeId: string) => NodeClass;
  readonly isOutput: (nodeId: string) => boolean;
  readonly fingerprintOf: (nodeId: string) => string;
  readonly checkInterrupt: () => void;
  readonly onNode: (displayId: string) => void;
  readonly runOf: (
    nodeId: string,
    nodeClass: NodeClass,
    inputs: ReadonlyMap<string, NodeValue>,
    async: AsyncNodes | undefined,
  ) => NodeRun;
}

/** The failure of a node: the exception, and the node's inputs. */
export interface NodeFailure {
  readonly error: unknown;
  readonly inputs: NodeInputs | undefined;
}

/** `pending`: the node runs again when the values that it waits for are there. */
type Outcome = "done" | "pending" | NodeFailure;

/** Executes the nodes of one prompt, message for message as the server does it (PROTOCOL 3, PROTOCOL-0.28, 3). */
export class NodeExecution {
  readonly executed: string[] = [];
  /** The nodes that the cache knew when the run began: `current_outputs` of an error. */
  readonly knownAtStart: readonly string[];
  /** The UI outputs of this run by node id, in the order in which they were sent. */
  readonly shown = new Map<string, NodeUi>();
  readonly async = new AsyncNodes();
  readonly #context: RunContext;
  /** Nodes that were replaced by an expansion, with the link or value that each of their outputs has become. */
  readonly #expanded = new Map<string, readonly (readonly (Link | NodeValue)[])[]>();

  constructor(context: RunContext) {
    this.#context = context;
    this.knownAtStart = context.cache.nodeIds();
  }

  async execute(nodeId: string): Promise<Outcome> {
    const { cache, progress, messages } = this.#context;
    const known = cache.get(nodeId);
    if (known) {
      this.#showCached(nodeId, known.ui);
      progress.finish(nodeId);
      messages.progressState(progress);
      return "done";
    }
    let inputs: NodeInputs | undefined;
    try {
      const nodeClass = this.#context.classOf(nodeId);
      const links = this.#expanded.get(nodeId);
      let results: readonly NodeResult[] | undefined;
      if (this.async.has(nodeId)) results = await this.async.collect(nodeId);
      else if (links) results = this.#resultsBehind(nodeId, links);
      else {
        progress.start(nodeId);
        messages.progressState(progress);
        inputs = this.#inputsOf(nodeId, nodeClass);
        if (messages.clientId !== null) this.#context.onNode(this.#context.graph.displayIdOf(nodeId));
        messages.executing(nodeId);
        if (this.#asksForMore(nodeId, nodeClass, inputs)) return "pending";
        results = await this.#call(nodeId, nodeClass, inputs);
      }
      if (results === undefined || !this.#keep(nodeId, nodeClass, results)) return "pending";
    } catch (error) {
      if (error instanceof AbandonedException) throw error;
      return { error, inputs };
    }
    progress.finish(nodeId);
    messages.progressState(progress);
    this.executed.push(nodeId);
    return "done";
  }

  /** UI outputs of cached nodes that are not output nodes are sent at the end of the run. */
  showCachedIntermediates(): void {
    for (const nodeId of this.#context.graph.ids()) {
      if (this.executed.includes(nodeId) || !this.#context.classOf(nodeId).hasIntermediateOutput) continue;
      const known = this.#context.cache.get(nodeId);
      if (known) this.#showCached(nodeId, known.ui);
    }
  }

  #showCached(nodeId: string, ui: NodeUi | undefined): void {
    if (ui) this.shown.set(nodeId, ui);
    this.#context.messages.executed(nodeId, ui?.output ?? null);
  }

  #inputsOf(nodeId: string, nodeClass: NodeClass): NodeInputs {
    const { graph, cache, prompt } = this.#context;
    const { extraData, secrets } = prompt;
    const whole = isDict(extraData) && secrets ? new Map([...extraData, ...secrets]) : extraData;
    return collectInputs(graph, nodeId, nodeClass, whole, ({ source, slot }) =>
      cache.get(source)?.outputs.at(slot),
    );
  }

  /** Asks a node with lazy inputs which of the missing inputs it needs; the node then waits for them. */
  #asksForMore(nodeId: string, nodeClass: NodeClass, { lists, missing }: NodeInputs): boolean {
    const needed = nodeImplementations.neededInputs(nodeClass.name);
    if (needed === undefined) return false;
    this.#context.checkInterrupt();
    const given = new Map(
      [...lists].flatMap(([name, [value]]): [string, NodeValue][] =>
        missing.has(name) || value === undefined ? [] : [[name, value]],
      ),
    );
    const wanted = needed(given).filter((name) => !given.has(name));
    for (const name of wanted) {
      const link = this.#linkAt(nodeId, name);
      if (link === undefined) {
        const reason = "but there is no input to that node at all";
        throw new NodeException(
          "comfy_execution.graph.NodeInputError",
          `Node ${nodeId} says it needs input ${name}, ${reason}`,
        );
      }
      this.#context.order.addLink(link.source, nodeId);
    }
    return wanted.length > 0;
  }

  #linkAt(nodeId: string, name: string): Link | undefined {
    return linkOf(inputsOf(this.#context.graph.node(nodeId)).get(name) ?? null);
  }

  /** @returns undefined if the node is asynchronous and runs beside others */
  async #call(
    nodeId: string,
    nodeClass: NodeClass,
    inputs: NodeInputs,
  ): Promise<readonly NodeResult[] | undefined> {
    const isAsync = nodeImplementations.isAsync(nodeClass.name);
    const done: NodeResult[] = [];
    const started: Promise<NodeResult>[] = [];
    for (const call of callsOf(nodeClass, inputs)) {
      this.#context.checkInterrupt();
      const blocked = this.#blockedResult(nodeId, nodeClass, call);
      if (!blocked) checkArguments(this.#context.graph, nodeId, nodeClass, inputs);
      const run = this.#context.runOf(nodeId, nodeClass, call, isAsync ? this.async : undefined);
      const result = blocked ? Promise.resolve(blocked) : nodeImplementations.run(run);
      if (isAsync) started.push(result);
      else done.push(await result);
    }
    if (!isAsync) return done;
    this.async.start(nodeId, Promise.all(started));
    this.#context.order.block(nodeId);
    return undefined;
  }

  /** The result of a call that is not made because one of its inputs is blocked. */
  #blockedResult(
    nodeId: string,
    nodeClass: NodeClass,
    call: ReadonlyMap<string, NodeValue>,
  ): NodeResult | undefined {
    const blocker = blockerIn(call);
    if (blocker === undefined) return undefined;
    if (blocker.message !== undefined) this.#reportBlocked(nodeId, nodeClass, blocker.message);
    return { outputs: nodeClass.outputs.map(() => ({ kind: "blocked", message: undefined })) };
  }

  /** Sends the error in the middle of the run: other nodes continue, and the history will report success. */
  #reportBlocked(nodeId: string, nodeClass: NodeClass, message: string): void {
    this.#context.messages.send("execution_error", {
      prompt_id: this.#context.prompt.promptId,
      node_id: nodeId,
      node_type: nodeClass.name,
      executed: [...this.executed],
      exception_message: `Execution Blocked: ${message}`,
      exception_type: "ExecutionBlocked",
      traceback: [],
      current_inputs: [],
      current_outputs: [],
    });
  }

  /** @returns false if an expansion now replaces this node */
  #keep(nodeId: string, nodeClass: NodeClass, results: readonly NodeResult[]): boolean {
    const { cache, graph, messages } = this.#context;
    const output = mergeUi(results);
    const ui = output === undefined ? undefined : { output, meta: graph.metaOf(nodeId) };
    if (ui) {
      this.shown.set(nodeId, ui);
      messages.executed(nodeId, ui.output);
    }
    if (results.some(({ expansion }) => expansion !== undefined)) {
      this.#expand(nodeId, results);
      return false;
    }
    cache.set(
      nodeId,
      mergeOutputs(
        nodeClass,
        results.map(({ outputs }) => outputs),
      ),
      ui,
    );
    return true;
  }

  #expand(nodeId: string, results: readonly NodeResult[]): void {
    const { graph, cache, order } = this.#context;
    const calls = results.map(({ expansion, outputs }, index): readonly (Link | NodeValue)[] => {
      if (expansion === undefined) return outputs;
      const ids = graph.addInner(nodeId, index, expansion);
      cache.enterInner(
        ids,
        nodeId,
        (id) => (graph.hasRawValues(id) ? undefined : graph.node(id)),
        this.#context.fingerprintOf,
      );
      for (const id of ids.filter(this.#context.isOutput)) order.add(id);
      return expansion.outputs.map(({ inner, slot }) => ({ source: innerId(nodeId, index, inner), slot }));
    });
    this.#expanded.set(nodeId, calls);
    for (const value of calls.flat()) if ("source" in value) order.addLink(value.source, nodeId);
  }

  #resultsBehind(nodeId: string, calls: readonly (readonly (Link | NodeValue)[])[]): readonly NodeResult[] {
    this.#expanded.delete(nodeId);
    return calls.map((values) => ({
      outputs: values.flatMap((value) =>
        "source" in value ? (this.#context.cache.get(value.source)?.outputs.at(value.slot) ?? []) : [value],
      ),
    }));
  }
}
