import { createHash, randomUUID } from "node:crypto";
import { isObject, numberOf, stringifyExactJson, type Workflow } from "@genga/comfyui";
import { isStorableJson } from "@genga/jobs";
import { refuse, type PromptRefusedError } from "./server-refusal.ts";

/** What a client asks for with `POST /prompt`, as far as no server is needed to judge it. */
export interface ReadPrompt {
  /** The client's graph; its nodes are judged later. */
  graph: Record<string, unknown>;
  promptId: string;
  /** The client chose the prompt id, and may send the same prompt again. */
  hasOwnId: boolean;
  clientId: string | null;
  /** `undefined` = the next one. */
  number: number | undefined;
  isFront: boolean;
  extraData: Record<string, unknown> | undefined;
  targets: string[] | null;
  /** Of the graph and the targets. */
  saidHash: string;
}

const nameMax = 200;
const targetsMax = 10_000;
const uuidShape = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/**
 * Reads a body as a server does (PROTOCOL 2), but refuses what would end a server or its thread (PROTOCOL 10).
 * @param onlyUuids prompt ids must be UUIDs, as for servers of 0.28 (PROTOCOL-0.28 1)
 * @throws PromptRefusedError
 */
export function readPrompt(body: unknown, { onlyUuids }: { onlyUuids: boolean }): ReadPrompt {
  if (!isObject(body) || !Object.hasOwn(body, "prompt"))
    throw refuse("no_prompt", "No prompt provided", { details: "No prompt provided" });
  const extraData = readExtraData(body["extra_data"]);
  const clientId = readClientId(body["client_id"] ?? extraData?.["client_id"]);
  const promptId = readPromptId(body["prompt_id"], onlyUuids);
  const targets = readTargets(body["partial_execution_targets"]);
  const graph = readGraph(body["prompt"]);
  const others = Object.fromEntries(Object.entries(extraData ?? {}).filter(([name]) => name !== "client_id"));
  return {
    ...{ graph, clientId, targets },
    ...{ promptId: promptId ?? randomUUID(), hasOwnId: promptId !== undefined },
    ...{ number: readNumber(body["number"]), isFront: body["front"] === true },
    extraData: Object.keys(others).length === 0 ? undefined : others,
    saidHash: createHash("sha256")
      .update(stringifyExactJson([graph, targets]))
      .digest("hex"),
  };
}

function readGraph(prompt: unknown): Record<string, unknown> {
  if (Array.isArray(prompt) && prompt.length === 0) throw noOutputs();
  if (!isObject(prompt) || Array.isArray(prompt))
    throw refuse("invalid_prompt", "prompt must be an object of nodes", { details: "prompt" });
  if (Object.keys(prompt).length === 0) throw noOutputs();
  return prompt;
}

export function noOutputs(): PromptRefusedError {
  return refuse("prompt_no_outputs", "Prompt has no outputs");
}

function readPromptId(given: unknown, onlyUuids: boolean): string | undefined {
  if (given === undefined || given === null) return undefined;
  const text = numberOf(given) === undefined ? given : String(numberOf(given));
  const isValid =
    typeof text === "string" && (onlyUuids ? given === text && uuidShape.test(text) : isName(text));
  if (isValid) return text;
  throw refuse(
    "invalid_prompt_id",
    onlyUuids ? "prompt_id must be a valid UUID" : "prompt_id must be a text",
    {
      details: onlyUuids
        ? "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one"
        : `prompt_id must be a text of at most ${nameMax} characters; omit it to let the server generate one`,
    },
  );
}

function readClientId(given: unknown): string | null {
  if (given === undefined || given === null || given === "") return null;
  if (typeof given === "string" && isName(given)) return given;
  const message = `client_id must be a text of at most ${nameMax} characters`;
  throw refuse("invalid_client_id", message, { details: "client_id" });
}

function isName(text: string): boolean {
  return text.length <= nameMax && isStorableJson(JSON.stringify(text));
}

function readExtraData(given: unknown): Record<string, unknown> | undefined {
  if (given === undefined || given === null) return undefined;
  if (isObject(given) && !Array.isArray(given)) return given;
  throw refuse("invalid_extra_data", "extra_data must be an object", { details: "extra_data" });
}

function readNumber(given: unknown): number | undefined {
  if (given === undefined) return undefined;
  const read = typeof given === "string" && given.trim() !== "" ? Number(given) : numberOf(given);
  if (read !== undefined && Number.isFinite(read)) return read;
  throw refuse("invalid_number", "number must be a number", { details: "number" });
}

function readTargets(given: unknown): string[] | null {
  if (given === undefined || given === null) return null;
  if (
    Array.isArray(given) &&
    given.length <= targetsMax &&
    given.every((each) => typeof each === "string" && isName(each))
  )
    return given as string[];
  const message = "partial_execution_targets must be a list of node ids";
  throw refuse("invalid_partial_execution_targets", message, { details: "partial_execution_targets" });
}

/** Whether a node has the shape that a server needs; others are refused by the judge of graphs. */
export function isNode(node: unknown): node is Workflow[string] {
  return isObject(node) && typeof node["class_type"] === "string" && isObject(node["inputs"]);
}

/** The class of a node, also of one whose inputs are not as a server needs them. */
export function classOf(node: unknown): string | undefined {
  const classType = isObject(node) ? node["class_type"] : undefined;
  return typeof classType === "string" ? classType : undefined;
}
