import { parseExactJson, rawMembers, stringifyExactJson, uncountedName, type Workflow } from "@genga/comfyui";
import {
  doorFileSource,
  type DoorFileName,
  type DoorFiles,
  type DoorPromptWithGraph,
  type EndedDoorPrompt,
  type JobOutput,
  type JobReader,
  type UnnamedDoorFile,
} from "@genga/jobs";
import { isTemporaryNode } from "@genga/workflows";
import { type Sight } from "../access/sight.ts";
import { shownNumber } from "./prompt-number.ts";
import { listsPictures, withoutRewrites } from "./rewrite-graph.ts";
import { isNewer } from "./server-version.ts";
import { rawObject, withShownErrors } from "./shown-errors.ts";

export interface DoorHistoryParts {
  jobs: JobReader;
  files: Pick<DoorFiles, "nameOutputs">;
  /** The version of the newest server; `null` = no server is known. */
  version: () => Promise<string | null>;
  /** What clients may see of the servers. */
  sight: () => Promise<Sight>;
}

/** Prompts in the form of a server's queue and history, as JSON texts: graphs keep the digits of their numbers. */
export class DoorHistory {
  readonly #parts: DoorHistoryParts;

  constructor(parts: DoorHistoryParts) {
    this.#parts = parts;
  }

  /** Whether the newest server is of 0.28, whose forms clients then expect. */
  async isNewer(): Promise<boolean> {
    return isNewer(await this.#parts.version());
  }

  /** An entry of `/history`. */
  async entryOf(prompt: EndedDoorPrompt): Promise<string> {
    const isNewer = await this.isNewer();
    const told = await this.endingOf(prompt);
    const rest = told.slice(1).trimStart();
    return `{"prompt":${queueEntry(prompt, { isNewer })}${rest.startsWith("}") ? "" : ","}${rest}`;
  }

  /** An entry without the prompt itself: its outputs, and how it ended. */
  async endingOf(prompt: EndedDoorPrompt): Promise<string> {
    const told = prompt.entry === null ? await this.#untold(prompt) : await this.#shown(prompt.entry);
    const listed = prompt.socketNodes.filter((nodeId) => listsPictures(prompt, nodeId));
    return listed.length === 0 || prompt.status !== "completed"
      ? told
      : await this.#withPictures(prompt, told, listed);
  }

  /** What the server said, without addresses of servers in its errors; a prompt with blocked nodes completes with errors. */
  async #shown(entry: string): Promise<string> {
    return entry.includes('"execution_error"') ? withShownErrors(entry, await this.#parts.sight()) : entry;
  }

  /** Adds what these nodes return besides the pictures that they send to the socket. */
  async #withPictures(
    { tenantId, jobId }: EndedDoorPrompt,
    told: string,
    listed: readonly string[],
  ): Promise<string> {
    const stored = await this.#parts.jobs.of(tenantId).listOutputs(jobId);
    const members = rawMembers(told);
    const outputs = rawMembers(members.get("outputs") ?? "{}");
    const meta = rawMembers(members.get("meta") ?? "{}");
    for (const id of listed) {
      const pictures = stored.filter(({ nodeId, kind }) => nodeId === id && kind === "file");
      const images = pictures.map(({ mediaType }) => ({
        ...{ source: "websocket", "content-type": mediaType, type: "output" },
      }));
      outputs.set(id, JSON.stringify({ images }));
      meta.set(id, JSON.stringify(metaOf(id)));
    }
    return rawObject(members.set("outputs", rawObject(outputs)).set("meta", rawObject(meta)));
  }

  /** The entry of a prompt whose end no server told: it timed out, was cancelled, or its worker is of an older version. */
  async #untold(prompt: EndedDoorPrompt): Promise<string> {
    const isComplete = prompt.status === "completed";
    const outputs = isComplete ? await this.#outputsOf(prompt) : {};
    const meta = Object.fromEntries(Object.keys(outputs).map((id) => [id, metaOf(id)]));
    const status = {
      status_str: isComplete ? "success" : "error",
      completed: isComplete,
      messages: messagesOf(prompt, await this.#failureOf(prompt)),
    };
    return JSON.stringify({ outputs, status, meta });
  }

  async #failureOf({ failure }: EndedDoorPrompt): Promise<string | undefined> {
    return failure === null ? undefined : (await this.#parts.sight()).text(failure.message);
  }

  async #outputsOf(prompt: EndedDoorPrompt): Promise<Record<string, Record<string, unknown[]>>> {
    const { jobId, tenantId, socketNodes } = prompt;
    const all = await this.#parts.jobs.of(tenantId).listOutputs(jobId);
    const outputs = all.filter(({ nodeId }) => !socketNodes.includes(nodeId));
    const placed = placesOf(outputs);
    const graph = JSON.parse(prompt.workflow) as Workflow;
    const unnamed = placed.flatMap(({ output, source }) => unnamedFile(output, source, graph) ?? []);
    const names = await this.#parts.files.nameOutputs(jobId, unnamed);
    const byNode: Record<string, Record<string, unknown[]>> = {};
    for (const { output, source } of placed) {
      const shown = output.kind === "text" ? output.text : inWords(names.get(source));
      const ofNode = (byNode[output.nodeId] ??= {});
      if (shown !== undefined) (ofNode[output.key] ??= []).push(shown);
    }
    return byNode;
  }
}

/**
 * An entry of `/queue`: `[number, prompt id, graph, extra data, output nodes]`.
 * @param isNewer servers of 0.28 say when the prompt came
 */
export function queueEntry(prompt: DoorPromptWithGraph, about: { isNewer: boolean }): string {
  const { number, promptId, outputNodes } = prompt;
  const { graph, extraData } = promptTexts(prompt, about);
  return `[${String(shownNumber(number))},${JSON.stringify(promptId)},${graph},${extraData},${JSON.stringify(outputNodes)}]`;
}

/** The graph as the client sent it, and its extra data with what a server adds, as JSON texts with all digits of numbers. */
export function promptTexts(
  { workflow, rewrites, extraData, clientId, createdAt }: DoorPromptWithGraph,
  { isNewer }: { isNewer: boolean },
): { graph: string; extraData: string } {
  const graph =
    rewrites.length === 0
      ? workflow
      : stringifyExactJson(withoutRewrites(parseExactJson(workflow) as Record<string, unknown>, rewrites));
  const own = JSON.stringify({
    ...(clientId !== null && { client_id: clientId }),
    ...(isNewer && { create_time: createdAt.getTime() }),
  });
  const given = (extraData ?? "{}").trim().slice(1, -1).trim();
  const extra = given === "" ? own : own === "{}" ? `{${given}}` : `{${given},${own.slice(1)}`;
  return { graph, extraData: extra };
}

/** What a server says of a node with outputs. */
function metaOf(id: string): object {
  return { node_id: id, display_node: id, parent_node: null, real_node_id: id };
}

function placesOf(outputs: readonly JobOutput[]): { output: JobOutput; source: string }[] {
  const counts = new Map<string, number>();
  return outputs
    .toSorted((one, other) => one.index - other.index)
    .map((output) => {
      const list = JSON.stringify([output.nodeId, output.key]);
      const index = counts.get(list) ?? 0;
      counts.set(list, index + 1);
      return { output, source: doorFileSource({ nodeId: output.nodeId, key: output.key, index }) };
    });
}

function unnamedFile(output: JobOutput, source: string, graph: Workflow): UnnamedDoorFile | undefined {
  if (output.kind === "text") return undefined;
  const node = graph[output.nodeId];
  const type = node !== undefined && isTemporaryNode(node) ? "temp" : "output";
  return { source, type, ...uncountedName(output.filename ?? "output", node) };
}

function inWords(name: DoorFileName | undefined): object | undefined {
  return name === undefined ? undefined : { filename: name.name, subfolder: name.subfolder, type: name.type };
}

/**
 * A server's messages of a prompt that it does not know any more.
 * @param why the prompt failed, as its client may read it
 */
function messagesOf(prompt: EndedDoorPrompt, why: string | undefined): [string, object][] {
  const { promptId, startedAt, createdAt, finishedAt, status, failure } = prompt;
  const begun = (startedAt ?? createdAt).getTime();
  const ended = (finishedAt ?? createdAt).getTime();
  const first: [string, object][] = [
    ["execution_start", { prompt_id: promptId, timestamp: begun }],
    ["execution_cached", { nodes: [], prompt_id: promptId, timestamp: begun }],
  ];
  if (status === "completed")
    return [...first, ["execution_success", { prompt_id: promptId, timestamp: ended }]];
  const node = { node_id: failure?.nodeId ?? "", node_type: failure?.nodeType ?? "", executed: [] };
  if (status === "cancelled")
    return [...first, ["execution_interrupted", { prompt_id: promptId, ...node, timestamp: ended }]];
  const message = `${why ?? "The prompt did not end in time."}\n`;
  const error = {
    ...{
      prompt_id: promptId,
      ...node,
      exception_message: message,
      exception_type: "RuntimeError",
      traceback: [],
    },
    ...{ current_inputs: {}, current_outputs: [], timestamp: ended },
  };
  return [...first, ["execution_error", error]];
}
