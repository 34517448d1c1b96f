import { validate as isUuid } from "uuid";
import { z } from "zod";

import { ComfyUIError, type NodeError } from "./errors.ts";
import { errorOfPost } from "./foreign-errors.ts";
import { checkShape } from "../graph/graph-shape.ts";
import { isObject } from "../json/is-object.ts";
import { type HttpClient, type Reply } from "./http-client.ts";
import { parseJson } from "./parse-json.ts";
import { nodeTitleOf, type Workflow } from "../graph/workflow.ts";

export interface PromptBody {
  promptId: string;
  clientId: string;
  workflow: Workflow;
  extraData?: Record<string, unknown> | undefined;
  /** Only these output nodes run; all when absent. */
  targets?: readonly string[] | undefined;
}

export interface PostOptions {
  signal?: AbortSignal | undefined;
  timeoutMs: number;
}

/**
 * The server's answer to the POST. `accepted` with node errors means that the server refused a part of the graph and
 * queued the rest.
 */
export interface PostOutcome {
  promptId: string;
  number: number;
  nodeErrors: NodeError[];
}

/**
 * Throws, before anything is sent, if the request could crash the server, break its lists for all clients, or be
 * ambiguous (PROTOCOL 2 and 10, PROTOCOL-0.28 6).
 */
export function assertSubmittable(body: PromptBody): void {
  if (!isUuid(body.promptId) || body.promptId !== body.promptId.toLowerCase()) {
    throw new ComfyUIError("graph_malformed", `The prompt id "${body.promptId}" is no lowercase UUID.`);
  }
  if (!isHarmless(body)) {
    throw new ComfyUIError("graph_malformed", "The data beside the graph would harm the server.");
  }
  const [problem] = checkShape(body.workflow).problems;
  if (problem !== undefined) {
    throw new ComfyUIError("graph_malformed", problem.message, { nodeId: problem.nodeId });
  }
}

/**
 * A client id that is not a text ends the server's process, also inside of `extra_data`; an `extra_pnginfo` without an
 * object in it, or with a `workflow` that is not an object, makes `/api/jobs` fail for all clients until that entry is
 * removed.
 */
function isHarmless({ clientId, extraData }: PromptBody): boolean {
  const beside: Record<string, unknown> = { ...extraData, client_id: extraData?.["client_id"] ?? clientId };
  if (typeof beside["client_id"] !== "string") return false;
  if (!("extra_pnginfo" in beside)) return true;
  const info = beside["extra_pnginfo"];
  return isObject(info) && (!("workflow" in info) || isObject(info["workflow"]));
}

/**
 * Returns the graph with a `_meta` in each node: a server of 0.28 that replaces the class of a node copies `_meta`, and
 * answers with a bare 500 if it is missing (PROTOCOL-0.28 1).
 */
function promptOf(workflow: Workflow): Workflow {
  return Object.fromEntries(
    Object.entries(workflow).map(([id, node]) => [
      id,
      isObject(node._meta) ? node : { ...node, _meta: { title: nodeTitleOf(node) } },
    ]),
  );
}

/**
 * `POST /prompt`, exactly once. Throws `prompt_refused` where the server says no, `server_unreachable` where nothing
 * was sent, and `submit_outcome_unknown` for everything in between: no reply, a broken one, or an HTTP 5xx (recorded: a
 * 500 for a prompt that was queued and ran). After it, only a lookup by the prompt id shows whether the server has the
 * prompt.
 */
export async function postPrompt(
  http: HttpClient,
  body: PromptBody,
  options: PostOptions,
): Promise<PostOutcome> {
  let reply: Reply;
  options.signal?.throwIfAborted();
  try {
    reply = await http.exchange("POST", "/prompt", {
      ...options,
      body: {
        prompt: promptOf(body.workflow),
        prompt_id: body.promptId,
        client_id: body.clientId,
        ...(body.extraData !== undefined && { extra_data: body.extraData }),
        ...(body.targets !== undefined && { partial_execution_targets: body.targets }),
      },
    });
  } catch (error) {
    if (error instanceof ComfyUIError && error.code === "server_unreachable") throw error;
    throw outcomeUnknown(body.promptId, error);
  }
  if (reply.status === 400) throw refusalOf(reply.text);
  if (reply.status !== 200) {
    const error = errorOfPost(reply.status, reply.text, "/prompt");
    throw error.code === "server_failed" ? outcomeUnknown(body.promptId, error) : error;
  }
  return readAcceptance(reply.text, body.promptId);
}

function outcomeUnknown(promptId: string, cause: unknown): ComfyUIError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ComfyUIError(
    "submit_outcome_unknown",
    `Prompt ${promptId} was sent, and whether the server has it is not known: ${why}`,
    { cause },
  );
}

/** Stands for node errors in a layout that Genga does not know, which still count as errors. */
const unreadableErrors = {
  class_type: undefined,
  errors: [
    {
      type: "unknown",
      message: "The server refused the node",
      details: "",
      extra_info: { received_value: undefined },
    },
  ],
};
const nodeErrorsSchema = z.preprocess(
  (value) => (Array.isArray(value) && value.length === 0 ? {} : value),
  z.record(
    z.string(),
    z
      .object({
        class_type: z.string().optional(),
        errors: z.array(
          z.object({
            type: z.string(),
            message: z.string(),
            details: z.string().catch(""),
            extra_info: z
              .object({ input_name: z.string().optional(), received_value: z.unknown().optional() })
              .catch({ received_value: undefined }),
          }),
        ),
      })
      .catch(unreadableErrors),
  ),
);

const acceptanceSchema = z.object({
  prompt_id: z.string(),
  number: z.number(),
  node_errors: nodeErrorsSchema.optional(),
});

const refusalSchema = z.object({
  error: z.union([
    z.object({ type: z.string(), message: z.string(), details: z.string().catch("") }),
    z.string().transform((message) => ({ type: "", message, details: "" })),
  ]),
  node_errors: nodeErrorsSchema.optional(),
});

function readAcceptance(text: string, promptId: string): PostOutcome {
  let acceptance: z.infer<typeof acceptanceSchema>;
  try {
    acceptance = acceptanceSchema.parse(parseJson(text, "POST /prompt"));
  } catch (error) {
    throw outcomeUnknown(promptId, error);
  }
  return {
    promptId: acceptance.prompt_id,
    number: acceptance.number,
    nodeErrors: flatten(acceptance.node_errors),
  };
}

function refusalOf(text: string): ComfyUIError {
  const refusal = refusalSchema.safeParse(parseJson(text, "POST /prompt")).data;
  if (refusal === undefined) return new ComfyUIError("prompt_refused", "The server refused the graph.");
  const { message } = refusal.error;
  const details = withoutLists(refusal.error.details);
  return refusedPrompt(flatten(refusal.node_errors), details === "" ? message : `${message} ${details}`);
}

/**
 * Removes the list that servers add to `value_not_in_list`. For loaders it names the files in the server's folders,
 * whichever tenant sent them (`execution.py`, `validate_inputs`).
 */
function withoutLists(details: string): string {
  return details.replace(/ not in (?:\[|\(list of length )[^]*$/, " is not one of the server's choices");
}

/**
 * A refusal, worded by its first node error: the overall message does not mention problems of nodes further up
 * (PROTOCOL 2).
 */
export function refusedPrompt(nodeErrors: NodeError[], otherwise: string): ComfyUIError {
  const [first] = nodeErrors;
  const rest = nodeErrors.length > 1 ? ` (and ${nodeErrors.length - 1} more)` : "";
  const message =
    first === undefined
      ? otherwise
      : `Node ${first.nodeId} (${first.classType ?? "unknown class"}): ${first.message}: ${first.details}${rest}`;
  return new ComfyUIError("prompt_refused", message, { httpStatus: 400, nodeErrors });
}

function flatten(nodeErrors: z.infer<typeof nodeErrorsSchema> | undefined): NodeError[] {
  return Object.entries(nodeErrors ?? {}).flatMap(([nodeId, node]) =>
    node.errors.map((error) => ({
      nodeId,
      classType: node.class_type,
      type: error.type,
      message: error.message,
      details: withoutLists(error.details),
      input: error.extra_info.input_name,
      received: error.extra_info.received_value,
    })),
  );
}
