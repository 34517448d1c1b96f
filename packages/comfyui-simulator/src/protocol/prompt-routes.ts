import { randomUUID } from "node:crypto";
import { type NodeCatalog } from "../nodes/node-catalog.ts";
import { type Executor } from "../execution/executor.ts";
import { type PromptQueue, queueTuple } from "../execution/prompt-queue.ts";
import { secretsOf, withoutSecrets } from "../execution/secret-keys.ts";
import { JsonDecodeError } from "../python/python-json.ts";
import {
  isDict,
  isTruthy,
  PythonError,
  pythonText,
  pythonTypeName,
  toPythonFloat,
  type PythonDict,
  type PythonFloat,
  type PythonValue,
} from "../python/python-values.ts";
import { validateGraph } from "../validation/validate-graph.ts";
import { existsSync } from "node:fs";
import { type Folders } from "../files/folders.ts";
import { emptyReply, jsonReply, type Exchange, type Reply } from "./http-exchange.ts";
import { type HttpRouter } from "./http-router.ts";
import { isJobId } from "./job-ids.ts";
import { applyReplacements } from "./node-replacements.ts";

interface PromptRouteTools {
  readonly queue: PromptQueue;
  readonly executor: Executor;
  readonly catalog: NodeCatalog;
  readonly folders: Folders;
  /** 0.28 (PROTOCOL-0.28, 1). */
  readonly isNewer: boolean;
}

/** `/prompt`, `/queue`, `/interrupt` and `/free`: the routes that add work to the server and remove it. */
export class PromptRoutes {
  readonly #tools: PromptRouteTools;
  #counter = 0;

  constructor(tools: PromptRouteTools) {
    this.#tools = tools;
  }

  register(router: HttpRouter): void {
    router.add("/prompt", { GET: () => this.#info(), POST: (exchange) => this.#submit(exchange) });
    router.add("/queue", { GET: () => this.#list(), POST: (exchange) => this.#changeQueue(exchange) });
    router.add("/interrupt", { POST: (exchange) => this.#interrupt(exchange) });
    router.add("/free", { POST: (exchange) => this.#free(exchange) });
  }

  #info(): Reply {
    return jsonReply({ exec_info: { queue_remaining: this.#tools.queue.remaining } });
  }

  /**
   * Handles `POST /prompt` (PROTOCOL 2). Every value on which Python would raise leads to a 500, after the same side
   * effects.
   */
  async #submit(exchange: Exchange): Promise<Reply> {
    const body = await exchange.json();
    const number = this.#numberOf(body);
    if (!contains(body, "prompt")) {
      const error = {
        type: "no_prompt",
        message: "No prompt provided",
        details: "No prompt provided",
        extra_info: {},
      };
      return jsonReply({ error, node_errors: {} }, 400);
    }
    const fields = asDict(body);
    const graph = fields.get("prompt") ?? null;
    const promptId = this.#promptIdOf(fields);
    if (promptId === undefined) return invalidPromptId();
    const targets = fields.get("partial_execution_targets") ?? null;
    const { catalog, folders, isNewer } = this.#tools;
    if (isNewer) applyReplacements(graph, catalog);
    const verdict = validateGraph(graph, catalog, targets, {
      fileExists: (name) => existsSync(folders.annotatedPath(name)),
      isNewer,
    });
    const extraData = isNewer ? newerExtraDataOf(fields, exchange) : extraDataOf(fields);
    if (verdict.error !== undefined) {
      return jsonReply({ error: verdict.error, node_errors: verdict.nodeErrors }, 400);
    }
    const beside = isNewer
      ? {
          extraData: withoutSecrets(asDict(extraData).set("create_time", Date.now())),
          secrets: secretsOf(asDict(extraData)),
        }
      : { extraData };
    this.#tools.queue.put({
      number,
      promptId,
      graph: asDict(graph),
      ...beside,
      outputs: verdict.outputs,
    });
    return jsonReply({ prompt_id: promptId, number, node_errors: verdict.nodeErrors });
  }

  /** Any value becomes text; 0.28 insists on a UUID and makes one for null. @returns undefined when refused */
  #promptIdOf(fields: PythonDict): string | undefined {
    const given = fields.get("prompt_id");
    if (given === undefined || (this.#tools.isNewer && given === null)) return randomUUID();
    if (!this.#tools.isNewer) return pythonText(given);
    return isJobId(given) ? given : undefined;
  }

  /** The counter grows with every request without a number, even if the request fails. */
  #numberOf(body: PythonValue): number | PythonFloat {
    if (contains(body, "number")) return toPythonFloat(asDict(body).get("number") ?? null);
    const toFront = contains(body, "front") && isTruthy(asDict(body).get("front"));
    const number = this.#counter++;
    return toFront && number !== 0 ? -number : number;
  }

  #list(): Reply {
    const { queue } = this.#tools;
    return jsonReply({
      queue_running: queue.runningPrompts().map(queueTuple),
      queue_pending: queue.waiting.list().map(queueTuple),
    });
  }

  async #changeQueue(exchange: Exchange): Promise<Reply> {
    const body = await exchange.json();
    if (contains(body, "clear") && isTruthy(asDict(body).get("clear"))) this.#tools.queue.clear();
    if (contains(body, "delete")) {
      for (const promptId of iterate(asDict(body).get("delete") ?? null)) this.#tools.queue.delete(promptId);
    }
    return emptyReply(200);
  }

  /**
   * A body that is not JSON counts as no body. An id other than that of the running prompt has no effect (PROTOCOL 1).
   */
  async #interrupt(exchange: Exchange): Promise<Reply> {
    let body: PythonValue;
    try {
      body = await exchange.json();
    } catch (error) {
      if (!(error instanceof JsonDecodeError)) throw error;
      body = new Map();
    }
    const promptId = asDict(body).get("prompt_id") ?? null;
    const isRunning = this.#tools.queue.runningPrompts().some((prompt) => prompt.promptId === promptId);
    if (!isTruthy(promptId) || isRunning) this.#tools.executor.interrupt();
    return emptyReply(200);
  }

  async #free(exchange: Exchange): Promise<Reply> {
    const body = asDict(await exchange.json());
    this.#tools.executor.requestFree({
      unloadModels: isTruthy(body.get("unload_models")),
      freeMemory: isTruthy(body.get("free_memory")),
    });
    return emptyReply(200);
  }
}

/** `extra_data`, with `client_id` copied into it. @throws PythonError if it cannot hold one */
function extraDataOf(fields: PythonDict): PythonValue {
  const extraData =
    fields.get("extra_data") ?? (fields.has("extra_data") ? null : new Map<string, PythonValue>());
  if (fields.has("client_id")) asDict(extraData).set("client_id", fields.get("client_id") ?? null);
  return extraData;
}

/**
 * 0.28 also records which client sent the prompt. @throws PythonError when `extra_data` cannot be searched or take a
 * key
 */
function newerExtraDataOf(fields: PythonDict, { headers }: Exchange): PythonValue {
  const extraData = extraDataOf(fields);
  const source = headers["comfy-usage-source"];
  if (!contains(extraData, "comfy_usage_source") && typeof source === "string" && source !== "") {
    asDict(extraData).set("comfy_usage_source", source);
  }
  return extraData;
}

function invalidPromptId(): Reply {
  const error = {
    type: "invalid_prompt_id",
    message: "prompt_id must be a valid UUID",
    details:
      "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one",
    extra_info: {},
  };
  return jsonReply({ error, node_errors: {} }, 400);
}

/** Python's `key in value`. @throws PythonError for a value that cannot be searched */
export function contains(value: PythonValue, key: string): boolean {
  if (isDict(value)) return value.has(key);
  if (Array.isArray(value) || typeof value === "string") return value.includes(key);
  throw new PythonError("TypeError", `argument of type '${pythonTypeName(value)}' is not iterable`);
}

/** A value that is about to be used as a dict. @throws PythonError for everything else */
export function asDict(value: PythonValue): PythonDict {
  if (isDict(value)) return value;
  throw new PythonError("TypeError", `'${pythonTypeName(value)}' object is not a dict`);
}

/** The items that Python's `for` would visit. @throws PythonError for a value that is not iterable */
export function iterate(value: PythonValue): PythonValue[] {
  if (Array.isArray(value)) return value;
  if (typeof value === "string") return Array.from(value);
  if (isDict(value)) return [...value.keys()];
  throw new PythonError("TypeError", `'${pythonTypeName(value)}' object is not iterable`);
}
