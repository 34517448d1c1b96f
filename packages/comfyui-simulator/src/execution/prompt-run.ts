import { nodeImplementations } from "../nodes/implementations.ts";
import { type LoadedModel } from "../nodes/loaded-model.ts";
import { type NodeCatalog, type NodeClass } from "../nodes/node-catalog.ts";
import { AbandonedException, InterruptedException, type NodeRun } from "../nodes/node-run.ts";
import { plain, type NodeValue } from "../nodes/node-values.ts";
import { type OutputFaults } from "../control/output-faults.ts";
import { type PreviewPicture } from "../drawing/drawing-job.ts";
import { type DrawingThread } from "../drawing/drawing-thread.ts";
import { type Timing } from "../options.ts";
import { type ClientSockets } from "../messages/client-sockets.ts";
import { type Folders } from "../files/folders.ts";
import { previewFrame, previewWithMetadataFrame, textFrame } from "../messages/binary-frames.ts";
import { type PythonJson } from "../python/python-json.ts";
import { isDict, PythonError, pythonTypeName, type PythonValue } from "../python/python-values.ts";
import { finalInputs } from "../validation/dynamic-inputs.ts";
import { type AsyncNodes } from "./async-nodes.ts";
import { nextTurn, type Clock } from "./clock.ts";
import { executionError } from "./execution-error.ts";
import { ExecutionOrder, inputsOf } from "./execution-order.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { type NodeCache, type NodeUi } from "./node-cache.ts";
import { NodeExecution, type NodeFailure, type RunContext } from "./node-execution.ts";
import { ProgressRegistry } from "./progress-registry.ts";
import { type QueuedPrompt } from "./prompt-heap.ts";
import { type HistoryEntry, type StatusMessage } from "./prompt-queue.ts";
import { RunMessages } from "./run-messages.ts";
import { RunningGraph } from "./running-graph.ts";
import { withoutSecrets } from "./secret-keys.ts";
import { type TempNames } from "./temp-names.ts";

/** The objects that all runs of this server share. */
export interface PromptRunTools {
  readonly catalog: NodeCatalog;
  readonly folders: Folders;
  readonly drawing: DrawingThread;
  readonly timing: Timing;
  readonly loaded: LoadedModel;
  readonly faults: OutputFaults;
  readonly tempNames: TempNames;
  readonly previews: boolean;
  readonly isNewer: boolean;
  readonly cachedResultsMin: number;
  readonly crash: (reason: string) => never;
}

interface Surroundings {
  readonly sockets: ClientSockets;
  readonly clock: Clock;
  readonly takeInterrupt: () => boolean;
  readonly onClient: (clientId: PythonValue) => void;
}

/** One execution of one prompt (PROTOCOL 3). */
export class PromptRun {
  clientId: PythonValue = null;
  currentNodeId: string | undefined;
  readonly #prompt: QueuedPrompt;
  readonly #cache: NodeCache;
  readonly #tools: PromptRunTools;
  readonly #around: Surroundings;
  readonly #graph: RunningGraph;
  readonly #progress: ProgressRegistry;
  #isAbandoned = false;

  constructor(prompt: QueuedPrompt, cache: NodeCache, tools: PromptRunTools, around: Surroundings) {
    this.#prompt = prompt;
    this.#cache = cache;
    this.#tools = tools;
    this.#around = around;
    this.#graph = new RunningGraph(prompt.graph);
    this.#progress = new ProgressRegistry(prompt.promptId, this.#graph);
  }

  abandon(): void {
    this.#isAbandoned = true;
  }

  /**
   * @throws PythonError for an error that kills the server's executor thread; AbandonedException when the server ends
   */
  async execute(): Promise<HistoryEntry> {
    const { graph, promptId } = this.#prompt;
    this.clientId = clientIdOf(this.#prompt.extraData);
    this.#around.onClient(this.clientId);
    const messages = new RunMessages(promptId, this.clientId, this.#around.sockets, this.#graph);
    messages.announce("execution_start", { prompt_id: promptId });
    this.#tools.tempNames.keepOnly(graph);
    this.#cache.enter(graph, (nodeId) => this.#fingerprintOf(nodeId));
    const cached = [...graph.keys()].filter((nodeId) => this.#cache.get(nodeId) !== undefined);
    messages.announce("execution_cached", { nodes: cached, prompt_id: promptId });
    const order = this.#orderOfNodes();
    const nodes = new NodeExecution(this.#contextOf(order, messages));
    const success = await this.#runNodes(order, nodes, messages);
    if (success) {
      if (this.#tools.isNewer) nodes.showCachedIntermediates();
      messages.announce("execution_success", { prompt_id: promptId });
    }
    this.currentNodeId = undefined;
    return this.#entry(success, nodes, messages.kept);
  }

  #orderOfNodes(): ExecutionOrder {
    return new ExecutionOrder({
      inputsOf: (nodeId) => inputsOf(this.#graph.node(nodeId)),
      isCached: (nodeId) => this.#cache.get(nodeId) !== undefined,
      isOutput: (nodeId) => this.#classOf(nodeId).isOutput,
      isAsync: (nodeId) => nodeImplementations.isAsync(this.#classOf(nodeId).name),
      isLazy: (nodeId, name) =>
        this.#classOf(nodeId).inputs.some(
          (input) => input.name === name && input.options.get("lazy") === true,
        ),
    });
  }

  #contextOf(order: ExecutionOrder, messages: RunMessages): RunContext {
    return {
      prompt: this.#prompt,
      graph: this.#graph,
      cache: this.#cache,
      order,
      messages,
      progress: this.#progress,
      classOf: (nodeId) => this.#classOf(nodeId),
      isOutput: (nodeId) => this.#classOf(nodeId).isOutput,
      fingerprintOf: (nodeId) => this.#fingerprintOf(nodeId),
      checkInterrupt: () => {
        this.#checkInterrupt();
      },
      onNode: (displayId) => {
        this.currentNodeId = displayId;
      },
      runOf: (nodeId, nodeClass, inputs, async) => this.#nodeRun(nodeId, nodeClass, inputs, messages, async),
    };
  }

  async #runNodes(order: ExecutionOrder, nodes: NodeExecution, messages: RunMessages): Promise<boolean> {
    for (const output of this.#prompt.outputs) order.add(output);
    for (;;) {
      const nodeId = order.next();
      if (nodeId === undefined) {
        if (nodes.async.size === 0) return true;
        for (const ended of await this.#around.clock.until(nodes.async.whileIdle())) order.unblock(ended);
        continue;
      }
      const outcome = await nodes.execute(nodeId);
      if (this.#isAbandoned) throw new AbandonedException();
      if (outcome === "done") order.done(nodeId);
      else if (outcome !== "pending") {
        await this.#reportFailure(nodeId, outcome, nodes, messages);
        return false;
      }
      await this.#breathe();
    }
  }

  async #reportFailure(
    nodeId: string,
    { error, inputs }: NodeFailure,
    nodes: NodeExecution,
    messages: RunMessages,
  ): Promise<void> {
    const realId = this.#graph.realIdOf(nodeId);
    const where = {
      prompt_id: this.#prompt.promptId,
      node_id: realId,
      node_type: this.#classOf(realId).name,
      executed: [...nodes.executed],
    };
    if (error instanceof InterruptedException) {
      messages.announce("execution_interrupted", where, true);
      return;
    }
    const details = await executionError(error, inputs?.lists ?? new Map(), this.#tools.drawing);
    messages.announce("execution_error", { ...where, ...details, current_outputs: nodes.knownAtStart });
  }

  /**
   * 0.3.64 lists every output that this prompt's nodes ever showed, also of nodes that did not run this time; 0.28
   * lists the outputs that were sent in this run.
   */
  #entry(success: boolean, nodes: NodeExecution, messages: readonly StatusMessage[]): HistoryEntry {
    const outputs = new Map<string, PythonJson>();
    const meta = new Map<string, PythonJson>();
    const shown: (readonly [string, NodeUi | undefined])[] = this.#tools.isNewer
      ? [...nodes.shown]
      : this.#cache.nodeIds().map((nodeId) => [nodeId, this.#cache.get(nodeId)?.ui]);
    for (const [nodeId, ui] of shown) {
      if (ui === undefined) continue;
      outputs.set(nodeId, ui.output);
      meta.set(nodeId, ui.meta);
    }
    return {
      prompt: { ...this.#prompt, extraData: withoutSecrets(this.#prompt.extraData) },
      outputs,
      status: { status_str: success ? "success" : "error", completed: success, messages },
      meta,
    };
  }

  #nodeRun(
    nodeId: string,
    nodeClass: NodeClass,
    inputs: ReadonlyMap<string, NodeValue>,
    messages: RunMessages,
    async: AsyncNodes | undefined,
  ): NodeRun {
    const tools = this.#tools;
    const { extraData } = this.#prompt;
    const sent = inputsOf(this.#graph.node(nodeId));
    const { paths, emptyGroups } = finalInputs(nodeClass, sent);
    const members = [...paths].flatMap(([name, path]): [string, NodeValue][] =>
      emptyGroups.has(name) ? [] : [[path, inputs.get(name) ?? plain(null)]],
    );
    return {
      nodeId,
      className: nodeClass.name,
      inputs,
      members: new Map(members),
      isMember: (name) => paths.has(name),
      emptyGroups,
      sent,
      graph: this.#prompt.graph,
      extraPngInfo: isDict(extraData) ? (extraData.get("extra_pnginfo") ?? null) : null,
      isNewer: tools.isNewer,
      folders: tools.folders,
      drawing: tools.drawing,
      timing: tools.timing,
      loaded: tools.loaded,
      faults: tools.faults,
      letters: () => tools.tempNames.lettersOf(nodeId, nodeClass.name),
      checkInterrupt: () => {
        this.#checkInterrupt();
      },
      progress: (value, max, preview) => this.#reportStep(nodeId, value, max, preview, messages),
      progressText: (text) => {
        messages.sendBinary(textFrame(nodeId, text));
      },
      wait: async (ms) => {
        await this.#wait(ms);
        await async?.turn();
      },
      crash: () => tools.crash(`${nodeClass.name} ended the process`),
    };
  }

  /** progress_state, then preview and progress in the order that the client's flags decide (PROTOCOL 3, binary). */
  async #reportStep(
    nodeId: string,
    value: number,
    max: number,
    preview: PreviewPicture | undefined,
    messages: RunMessages,
  ): Promise<void> {
    this.#checkInterrupt();
    const wantsMetadata = this.#around.sockets.wantsPreviewMetadata(this.clientId);
    const image = await this.#drawPreview(preview);
    const promptId = this.#prompt.promptId;
    this.#progress.update(nodeId, value, max);
    messages.progressState(this.#progress);
    if (image && preview && wantsMetadata) {
      const { displayId, parentId, realId } = {
        displayId: this.#graph.displayIdOf(nodeId),
        parentId: this.#graph.parentOf(nodeId),
        realId: this.#graph.realIdOf(nodeId),
      };
      const about = { nodeId, promptId, displayId, parentId, realId, format: preview.format };
      messages.sendBinary(previewWithMetadataFrame(about, image));
    }
    messages.send("progress", { value, max, prompt_id: promptId, node: nodeId });
    if (image && preview && !wantsMetadata) messages.sendBinary(previewFrame(preview.format, image));
    await this.#breathe();
  }

  async #drawPreview(preview: PreviewPicture | undefined): Promise<Buffer | undefined> {
    if (!preview || !this.#sendsPreviews() || !this.#around.sockets.hasListener(this.clientId))
      return undefined;
    return this.#around.clock.until(this.#tools.drawing.preview(preview));
  }

  /** A prompt of 0.28 may say that it wants none; nonsense counts as no choice (PROTOCOL-0.28 1). */
  #sendsPreviews(): boolean {
    const { extraData } = this.#prompt;
    const method = this.#tools.isNewer && isDict(extraData) ? extraData.get("preview_method") : null;
    return this.#tools.previews && method !== "none";
  }

  #checkInterrupt(): void {
    if (this.#isAbandoned) throw new AbandonedException();
    if (this.#around.takeInterrupt()) throw new InterruptedException();
  }

  async #wait(ms: number): Promise<void> {
    await this.#around.clock.wait(ms);
    if (this.#isAbandoned) throw new AbandonedException();
  }

  async #breathe(): Promise<void> {
    await nextTurn();
    await this.#around.clock.thawed();
    if (this.#isAbandoned || this.#around.clock.isStopped) throw new AbandonedException();
  }

  #fingerprintOf(nodeId: string): string {
    const node = this.#graph.node(nodeId);
    const className = node?.get("class_type");
    const nodeClass = typeof className === "string" ? this.#tools.catalog.get(className) : undefined;
    const ofFile = fingerprintOf(node ?? null, this.#tools.folders);
    return nodeClass?.keepsResultsById === true ? `${ofFile} of ${nodeId}` : ofFile;
  }

  #classOf(nodeId: string): NodeClass {
    const className = this.#graph.node(nodeId)?.get("class_type");
    const nodeClass = typeof className === "string" ? this.#tools.catalog.get(className) : undefined;
    if (nodeClass === undefined) throw new PythonError("KeyError", `'${nodeId}'`);
    return nodeClass;
  }
}

/** `"client_id" in extra_data`, for any kind of `extra_data`. @throws PythonError if Python cannot search it */
function clientIdOf(extraData: PythonValue): PythonValue {
  if (isDict(extraData)) return extraData.get("client_id") ?? null;
  if ((typeof extraData === "string" || Array.isArray(extraData)) && !extraData.includes("client_id"))
    return null;
  throw new PythonError("TypeError", `argument of type '${pythonTypeName(extraData)}' is not iterable`);
}
