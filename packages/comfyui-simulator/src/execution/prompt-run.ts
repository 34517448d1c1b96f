import { nodeImplementations } from "../nodes/implementations.ts";
import type { LoadedModel } from "../nodes/loaded-model.ts";
import type { NodeCatalog, NodeClass } from "../nodes/node-catalog.ts";
import {
  AbandonedException,
  InterruptedException,
  NodeException,
  type NodeRun,
  type PreviewPicture,
} from "../nodes/node-run.ts";
import { opaque, plain, type NodeValue } from "../nodes/node-values.ts";
import type { OutputFaults } from "../control/output-faults.ts";
import type { Studio } from "../drawing/studio.ts";
import type { Timing } from "../options.ts";
import type { ClientSockets } from "../protocol/client-sockets.ts";
import type { Folders } from "../protocol/folders.ts";
import { previewFrame, previewWithMetadataFrame, textFrame } from "../protocol/binary-frames.ts";
import type { PythonJson } from "../python/python-json.ts";
import { isDict, PythonError, pythonTypeName, type PythonValue } from "../python/python-values.ts";
import { nextTurn, type Clock } from "./clock.ts";
import { executionError } from "./execution-error.ts";
import { ExecutionOrder, inputsOf, linkOf } from "./execution-order.ts";
import { fingerprintOf } from "./fingerprint.ts";
import type { NodeCache, NodeUi } from "./node-cache.ts";
import { ProgressRegistry } from "./progress-registry.ts";
import type { QueuedPrompt } from "./prompt-heap.ts";
import type { HistoryEntry, StatusMessage } from "./prompt-queue.ts";
import { withoutSecrets } from "./secret-keys.ts";
import type { TempNames } from "./temp-names.ts";

/** What every run of this server shares. */
export interface PromptRunTools {
  readonly catalog: NodeCatalog;
  readonly folders: Folders;
  readonly studio: Studio;
  readonly timing: Timing;
  readonly loaded: LoadedModel;
  readonly faults: OutputFaults;
  readonly tempNames: TempNames;
  readonly previews: boolean;
  readonly cachedResultsMin: number;
  readonly crash: (reason: string) => never;
}

interface Surroundings {
  readonly sockets: ClientSockets;
  readonly clock: Clock;
  readonly takeInterrupt: () => boolean;
  readonly onClient: (clientId: PythonValue) => void;
}

/** Classes with widgets that depend on another widget: they take undeclared inputs, unchecked (GRAPHS, 3). */
const TAKES_ANYTHING = new Set(["VHS_VideoCombine"]);

/** One execution of one prompt, message for message as the server does it (PROTOCOL 3). */
export class PromptRun {
  clientId: PythonValue = null;
  currentNodeId: string | undefined;
  private readonly prompt: QueuedPrompt;
  private readonly cache: NodeCache;
  private readonly tools: PromptRunTools;
  private readonly around: Surroundings;
  private readonly progress: ProgressRegistry;
  private readonly messages: StatusMessage[] = [];
  private readonly executed: string[] = [];
  private isAbandoned = false;

  constructor(prompt: QueuedPrompt, cache: NodeCache, tools: PromptRunTools, around: Surroundings) {
    this.prompt = prompt;
    this.cache = cache;
    this.tools = tools;
    this.around = around;
    this.progress = new ProgressRegistry(prompt.promptId);
  }

  abandon(): void {
    this.isAbandoned = true;
  }

  /** @throws PythonError for what kills the server's executor thread; AbandonedException when the server ends */
  async execute(): Promise<HistoryEntry> {
    const { graph, promptId } = this.prompt;
    this.clientId = clientIdOf(this.prompt.extraData);
    this.around.onClient(this.clientId);
    this.announce("execution_start", { prompt_id: promptId });
    this.tools.tempNames.keepOnly(graph);
    this.cache.enter(graph, (nodeId) => fingerprintOf(graph.get(nodeId) ?? null, this.tools.folders));
    const cached = [...graph.keys()].filter((nodeId) => this.cache.get(nodeId) !== undefined);
    this.announce("execution_cached", { nodes: cached, prompt_id: promptId });
    const success = await this.runNodes();
    if (success) this.announce("execution_success", { prompt_id: promptId });
    this.currentNodeId = undefined;
    return this.entry(success);
  }

  private async runNodes(): Promise<boolean> {
    const isOutput = (nodeId: string): boolean => this.classOf(nodeId).isOutput;
    const isCached = (nodeId: string): boolean => this.cache.get(nodeId) !== undefined;
    const order = new ExecutionOrder(this.prompt.graph, isCached, isOutput);
    for (const output of this.prompt.outputs) order.add(output);
    for (let nodeId = order.next(); nodeId !== undefined; nodeId = order.next()) {
      const known = this.cache.get(nodeId);
      if (known) this.reportCached(nodeId, known.ui);
      else if (!(await this.runNode(nodeId))) return false;
      order.done(nodeId);
      await this.breathe();
    }
    return true;
  }

  private reportCached(nodeId: string, ui: NodeUi | undefined): void {
    this.sendToOwner("executed", {
      node: nodeId,
      display_node: nodeId,
      output: ui?.output ?? null,
      prompt_id: this.prompt.promptId,
    });
    this.progress.finish(nodeId);
    this.sendProgressState();
  }

  /** @returns false when the node failed or was interrupted, which then has been reported */
  private async runNode(nodeId: string): Promise<boolean> {
    const nodeClass = this.classOf(nodeId);
    const promptId = this.prompt.promptId;
    let inputs: ReadonlyMap<string, NodeValue> = new Map();
    try {
      this.progress.start(nodeId);
      this.sendProgressState();
      inputs = this.resolveInputs(nodeId, nodeClass);
      if (this.clientId !== null) this.currentNodeId = nodeId;
      this.sendToOwner("executing", { node: nodeId, display_node: nodeId, prompt_id: promptId });
      this.checkInterrupt();
      const result = await nodeImplementations.run(this.nodeRun(nodeId, nodeClass, inputs));
      if (this.isAbandoned) throw new AbandonedException();
      const ui = result.ui === undefined ? undefined : { output: result.ui, meta: metaOf(nodeId) };
      this.cache.set(nodeId, result.outputs, ui);
      if (ui) {
        this.sendToOwner("executed", {
          node: nodeId,
          display_node: nodeId,
          output: ui.output,
          prompt_id: promptId,
        });
      }
    } catch (error) {
      await this.reportFailure(nodeId, nodeClass, inputs, error);
      return false;
    }
    this.progress.finish(nodeId);
    this.sendProgressState();
    this.executed.push(nodeId);
    return true;
  }

  private async reportFailure(
    nodeId: string,
    nodeClass: NodeClass,
    inputs: ReadonlyMap<string, NodeValue>,
    error: unknown,
  ): Promise<void> {
    if (error instanceof AbandonedException) throw error;
    const where = {
      prompt_id: this.prompt.promptId,
      node_id: nodeId,
      node_type: nodeClass.name,
      executed: [...this.executed],
    };
    if (error instanceof InterruptedException) {
      this.announce("execution_interrupted", where, true);
      return;
    }
    const details = await executionError(error, inputs, this.tools.studio);
    this.announce("execution_error", { ...where, ...details, current_outputs: this.cache.nodeIds() });
  }

  /** History lists every output that this prompt's nodes ever showed, also of nodes that did not run this time. */
  private entry(success: boolean): HistoryEntry {
    const outputs = new Map<string, PythonJson>();
    const meta = new Map<string, PythonJson>();
    for (const nodeId of this.cache.nodeIds()) {
      const ui = this.cache.get(nodeId)?.ui;
      if (ui === undefined) continue;
      outputs.set(nodeId, ui.output);
      meta.set(nodeId, ui.meta);
    }
    return {
      prompt: { ...this.prompt, extraData: withoutSecrets(this.prompt.extraData) },
      outputs,
      status: { status_str: success ? "success" : "error", completed: success, messages: this.messages },
      meta,
    };
  }

  private resolveInputs(nodeId: string, nodeClass: NodeClass): Map<string, NodeValue> {
    const resolved = new Map<string, NodeValue>();
    const declared = new Set(nodeClass.inputs.map((input) => input.name));
    for (const [name, value] of inputsOf(this.prompt.graph.get(nodeId))) {
      const link = linkOf(value);
      if (link) {
        resolved.set(name, this.cache.get(link.source)?.outputs.at(link.slot) ?? plain(null));
      } else if (declared.has(name) || TAKES_ANYTHING.has(nodeClass.name)) resolved.set(name, plain(value));
    }
    // Newer classes get these through their class, not as inputs.
    const hidden = nodeClass.isNewStyle ? [] : nodeClass.hidden;
    for (const [name, kind] of hidden) {
      if (kind === "PROMPT") resolved.set(name, opaque("prompt", "PROMPT"));
      else if (kind === "EXTRA_PNGINFO") resolved.set(name, plain(this.extraPngInfo()));
      else if (kind === "UNIQUE_ID") resolved.set(name, plain(nodeId));
    }
    return resolved;
  }

  private extraPngInfo(): PythonValue {
    const { extraData } = this.prompt;
    if (isDict(extraData)) return extraData.get("extra_pnginfo") ?? null;
    throw new NodeException("AttributeError", `'${pythonTypeName(extraData)}' object has no attribute 'get'`);
  }

  private nodeRun(nodeId: string, nodeClass: NodeClass, inputs: ReadonlyMap<string, NodeValue>): NodeRun {
    const { tools } = this;
    const { extraData } = this.prompt;
    return {
      nodeId,
      className: nodeClass.name,
      inputs,
      sent: inputsOf(this.prompt.graph.get(nodeId)),
      graph: this.prompt.graph,
      extraPngInfo: isDict(extraData) ? (extraData.get("extra_pnginfo") ?? null) : null,
      folders: tools.folders,
      studio: tools.studio,
      timing: tools.timing,
      loaded: tools.loaded,
      faults: tools.faults,
      letters: () => tools.tempNames.lettersOf(nodeId, nodeClass.name),
      checkInterrupt: () => {
        this.checkInterrupt();
      },
      progress: (value, max, preview) => this.reportStep(nodeId, value, max, preview),
      progressText: (text) => {
        this.around.sockets.sendBinary(textFrame(nodeId, text), this.clientId);
      },
      wait: (ms) => this.wait(ms),
      crash: () => tools.crash(`${nodeClass.name} ended the process`),
    };
  }

  /** progress_state, then preview and progress in the order that the client's flags decide (PROTOCOL 3, binary). */
  private async reportStep(
    nodeId: string,
    value: number,
    max: number,
    preview: PreviewPicture | undefined,
  ): Promise<void> {
    this.checkInterrupt();
    const { sockets } = this.around;
    const wantsMetadata = sockets.wantsPreviewMetadata(this.clientId);
    const image = await this.drawPreview(preview);
    this.progress.update(nodeId, value, max);
    this.sendProgressState();
    if (image && preview && wantsMetadata) {
      const promptId = this.prompt.promptId;
      sockets.sendBinary(
        previewWithMetadataFrame({ nodeId, promptId, format: preview.format }, image),
        this.clientId,
      );
    }
    sockets.send("progress", { value, max, prompt_id: this.prompt.promptId, node: nodeId }, this.clientId);
    if (image && preview && !wantsMetadata) {
      sockets.sendBinary(previewFrame(preview.format, image), this.clientId);
    }
    await this.breathe();
  }

  private async drawPreview(preview: PreviewPicture | undefined): Promise<Buffer | undefined> {
    if (!preview || !this.tools.previews || !this.around.sockets.hasListener(this.clientId)) return undefined;
    return this.around.clock.until(this.tools.studio.preview(preview));
  }

  private checkInterrupt(): void {
    if (this.isAbandoned) throw new AbandonedException();
    if (this.around.takeInterrupt()) throw new InterruptedException();
  }

  private async wait(ms: number): Promise<void> {
    await this.around.clock.wait(ms);
    if (this.isAbandoned) throw new AbandonedException();
  }

  private async breathe(): Promise<void> {
    await nextTurn();
    await this.around.clock.thawed();
    if (this.isAbandoned || this.around.clock.isStopped) throw new AbandonedException();
  }

  private sendProgressState(): void {
    if (!this.around.sockets.hasListener(this.clientId)) return;
    this.around.sockets.send("progress_state", this.progress.message(), this.clientId);
  }

  private sendToOwner(event: string, data: PythonJson): void {
    if (this.clientId !== null) this.around.sockets.send(event, data, this.clientId);
  }

  /** Sends and remembers for history. Without a client only an interrupt is announced, to everybody. */
  private announce(event: string, data: Record<string, PythonJson>, toAll = false): void {
    const stamped = { ...data, timestamp: Date.now() };
    this.messages.push({ type: event, data: stamped });
    if (this.clientId !== null || toAll) this.around.sockets.send(event, stamped, this.clientId);
  }

  private classOf(nodeId: string): NodeClass {
    const node = this.prompt.graph.get(nodeId) ?? null;
    const className = isDict(node) ? node.get("class_type") : undefined;
    const nodeClass = typeof className === "string" ? this.tools.catalog.get(className) : undefined;
    if (nodeClass === undefined) throw new PythonError("KeyError", `'${nodeId}'`);
    return nodeClass;
  }
}

function metaOf(nodeId: string): PythonJson {
  return { node_id: nodeId, display_node: nodeId, parent_node: null, real_node_id: nodeId };
}

/** `"client_id" in extra_data`, for whatever `extra_data` is. @throws PythonError for what Python cannot search */
function clientIdOf(extraData: PythonValue): PythonValue {
  if (isDict(extraData)) return extraData.get("client_id") ?? null;
  if ((typeof extraData === "string" || Array.isArray(extraData)) && !extraData.includes("client_id"))
    return null;
  throw new PythonError("TypeError", `argument of type '${pythonTypeName(extraData)}' is not iterable`);
}
