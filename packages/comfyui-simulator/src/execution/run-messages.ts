import { type ClientSockets } from "../messages/client-sockets.ts";
import { type PythonJson } from "../python/python-json.ts";
import { type PythonValue } from "../python/python-values.ts";
import { type ProgressRegistry } from "./progress-registry.ts";
import { type StatusMessage } from "./prompt-queue.ts";
import { type RunningGraph } from "./running-graph.ts";

/** Sends the messages of a running prompt to the right clients (PROTOCOL 3, routing). */
export class RunMessages {
  /** The messages that the history keeps. */
  readonly kept: StatusMessage[] = [];
  readonly clientId: PythonValue;
  readonly #promptId: string;
  readonly #sockets: ClientSockets;
  readonly #graph: RunningGraph;

  constructor(promptId: string, clientId: PythonValue, sockets: ClientSockets, graph: RunningGraph) {
    this.#promptId = promptId;
    this.clientId = clientId;
    this.#sockets = sockets;
    this.#graph = graph;
  }

  executing(nodeId: string): void {
    this.#toOwner("executing", { ...this.#place(nodeId), prompt_id: this.#promptId });
  }

  executed(nodeId: string, output: PythonJson): void {
    this.#toOwner("executed", { ...this.#place(nodeId), output, prompt_id: this.#promptId });
  }

  progressState(progress: ProgressRegistry): void {
    if (!this.#sockets.hasListener(this.clientId)) return;
    this.#sockets.send("progress_state", progress.message(), this.clientId);
  }

  /** Sends a message to the prompt's client, or to all clients if the prompt has none. */
  send(event: string, data: PythonJson): void {
    this.#sockets.send(event, data, this.clientId);
  }

  sendBinary(frame: Buffer): void {
    this.#sockets.sendBinary(frame, this.clientId);
  }

  /**
   * Sends a message and keeps it for the history. If the prompt has no client, only an interrupt is sent, to all
   * clients.
   */
  announce(event: string, data: Record<string, PythonJson>, toAll = false): void {
    const stamped = { ...data, timestamp: Date.now() };
    this.kept.push({ type: event, data: stamped });
    if (this.clientId !== null || toAll) this.send(event, stamped);
  }

  #toOwner(event: string, data: PythonJson): void {
    if (this.clientId !== null) this.send(event, data);
  }

  #place(nodeId: string): Record<string, PythonJson> {
    return { node: nodeId, display_node: this.#graph.displayIdOf(nodeId) };
  }
}
