import {
  collectOutputs,
  isObject,
  parseBinaryFrame,
  parsePythonJson,
  type PromptRelay,
  rewriteStrings,
  textFrame,
} from "@genga/comfyui";
import { type DoorMessage, type DoorMessageGiver, type LeasedJob } from "@genga/jobs";

/** What is told of a run. */
export interface ToldRun {
  readonly leased: Pick<LeasedJob, "jobId" | "attempt" | "promptId"> & { job: { tenantId: string } };
  /** A text within what the server says, as clients may read it. */
  shownEntryText(text: string): string;
}

/** How a message of the one type begins that is large and frequent. */
const progressStateHead = /^\{\s*"type":\s*"progress_state"/;
/** Types of messages that name nodes, and quote nothing else. */
const plainTypes: ReadonlySet<string> = new Set([
  "execution_start",
  "execution_cached",
  "executing",
  "progress",
]);

/** A message without what it is about. */
type Content<Kind extends DoorMessage["kind"]> = Kind extends unknown
  ? Omit<Extract<DoorMessage, { kind: Kind }>, "jobId" | "attempt" | "serverPromptId">
  : never;

/**
 * Passes on what a server says about the prompt of a client of ComfyUI's protocol, as it was said. Ends are left out: the API tells
 * them when they are recorded. Names on the server and secrets are replaced in texts of nodes.
 */
export class DoorRelay implements PromptRelay {
  readonly #run: ToldRun;
  readonly #giver: Pick<DoorMessageGiver, "publish" | "isHeard">;
  /** It usually ends the prompt. If the prompt goes on, a node was blocked, and the client is told (PROTOCOL-0.28 3). */
  #error: Content<"text"> | null = null;

  constructor(run: ToldRun, giver: Pick<DoorMessageGiver, "publish" | "isHeard">) {
    this.#run = run;
    this.#giver = giver;
  }

  text(json: string): void {
    if (progressStateHead.test(json)) {
      this.#publishText({ kind: "text", type: "progress_state", json });
      return;
    }
    const { type, data } = readMessage(json);
    if (type === undefined) return;
    const node = typeof data["node"] === "string" || data["node"] === null ? data["node"] : undefined;
    if (type === "executed" && typeof node === "string") this.#executed(node, data, json);
    else if (type === "execution_error") this.#error = { kind: "text", type, json: this.#shown(json) };
    else if (type === "execution_success") this.#publishBlocked();
    else if (type === "executing" && node === null) this.#publish({ kind: "ended" });
    else if (plainTypes.has(type))
      this.#publishText({ kind: "text", type, ...(node !== undefined && { node }), json });
  }

  frame(frame: Buffer): void {
    const { tenantId } = this.#run.leased.job;
    if (!this.#giver.isHeard(tenantId)) return;
    const read = parseBinaryFrame(frame);
    if (read?.type === "text") {
      const { nodeId, text } = read.nodeText;
      this.#publish({ kind: "frame", frame: textFrame(nodeId, this.#run.shownEntryText(text)) });
    } else if (read?.type === "preview") this.#publish({ kind: "frame", frame });
  }

  #executed(node: string, data: Record<string, unknown>, json: string): void {
    const outputs = collectOutputs({ [node]: data["output"] ?? {} });
    const { display_node: shownNode } = data;
    if (outputs.some(({ kind }) => kind === "file")) {
      const displayNode = typeof shownNode === "string" ? shownNode : null;
      this.#publishText({ kind: "made-files", node, displayNode });
    } else this.#publishText({ kind: "text", type: "executed", node, json: this.#shown(json) });
  }

  #publishText(content: Content<"text"> | Content<"made-files">): void {
    this.#publishBlocked();
    this.#publish(content);
  }

  /** The prompt goes on, or has succeeded, so an error before this has not ended it. */
  #publishBlocked(): void {
    const error = this.#error;
    this.#error = null;
    if (error !== null) this.#publish(error);
  }

  #publish(content: Content<DoorMessage["kind"]>): void {
    const { jobId, attempt, promptId, job } = this.#run.leased;
    this.#giver.publish(job.tenantId, { jobId, attempt, serverPromptId: promptId, ...content });
  }

  #shown(json: string): string {
    return rewriteStrings(json, (text) => this.#run.shownEntryText(text));
  }
}

function readMessage(json: string): { type?: string; data: Record<string, unknown> } {
  const message = parsePythonJson(json);
  if (!isObject(message) || typeof message["type"] !== "string") return { data: {} };
  return { type: message["type"], data: isObject(message["data"]) ? message["data"] : {} };
}
