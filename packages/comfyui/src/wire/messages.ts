import { z } from "zod";

import { parsePythonJson } from "../json/exact-json.ts";

/**
 * The JSON messages of the server's WebSocket (PROTOCOL 3). Only the fields that Genga uses are kept, so that a
 * `progress_state` (every node so far, in every message) costs one linear pass. Of large ones only some are parsed at all
 * (`large-states.ts`).
 */

const nodeId = z.string();
const promptId = z.string();

const statusSchema = z.object({
  type: z.literal("status"),
  data: z.object({
    status: z.object({ exec_info: z.object({ queue_remaining: z.number() }) }),
    sid: z.string().nullish(),
  }),
});

const featureFlagsSchema = z.object({
  type: z.literal("feature_flags"),
  data: z.record(z.string(), z.unknown()),
});

const executionStartDataSchema = z.object({ prompt_id: promptId, timestamp: z.number().optional() });

const executionStartSchema = z.object({
  type: z.literal("execution_start"),
  data: executionStartDataSchema,
});

const executionCachedSchema = z.object({
  type: z.literal("execution_cached"),
  data: z.object({ prompt_id: promptId, nodes: z.array(nodeId), timestamp: z.number().optional() }),
});

/**
 * A count that Python wrote as NaN is read as 0, so that the rest of the message, about all other nodes, is not lost.
 */
const count = z.number().catch(0);

const nodeProgressSchema = z.object({
  value: count,
  max: count,
  state: z.string(),
  display_node_id: nodeId.nullish(),
});

const progressStateSchema = z.object({
  type: z.literal("progress_state"),
  data: z.object({ prompt_id: promptId, nodes: z.record(nodeId, nodeProgressSchema) }),
});

/** `node: null` is the end of the prompt; without `prompt_id` it is the greeting after a reconnect. */
const executingSchema = z.object({
  type: z.literal("executing"),
  data: z.object({
    node: nodeId.nullable(),
    display_node: nodeId.nullish(),
    prompt_id: promptId.optional(),
  }),
});

const progressSchema = z.object({
  type: z.literal("progress"),
  data: z.object({
    value: z.number(),
    max: z.number(),
    prompt_id: promptId.nullish(),
    node: nodeId.nullish(),
  }),
});

const executedSchema = z.object({
  type: z.literal("executed"),
  data: z.object({
    node: nodeId,
    display_node: nodeId.nullish(),
    output: z.record(z.string(), z.unknown()).nullish(),
    prompt_id: promptId,
  }),
});

const executionSuccessSchema = z.object({
  type: z.literal("execution_success"),
  data: z.object({ prompt_id: promptId, timestamp: z.number().optional() }),
});

/** `current_inputs` is left out on purpose: it holds kilobytes of tensors, and the users' prompts. */
export const executionErrorDataSchema = z.object({
  prompt_id: promptId,
  node_id: nodeId,
  node_type: z.string(),
  executed: z.array(nodeId).optional(),
  exception_message: z.string(),
  exception_type: z.string(),
  traceback: z.array(z.string()).optional(),
  timestamp: z.number().optional(),
});

const executionErrorSchema = z.object({
  type: z.literal("execution_error"),
  data: executionErrorDataSchema,
});

export const executionInterruptedDataSchema = z.object({
  prompt_id: promptId,
  node_id: nodeId,
  node_type: z.string(),
  executed: z.array(nodeId).optional(),
  timestamp: z.number().optional(),
});

const executionInterruptedSchema = z.object({
  type: z.literal("execution_interrupted"),
  data: executionInterruptedDataSchema,
});

const serverMessageSchema = z.discriminatedUnion("type", [
  statusSchema,
  featureFlagsSchema,
  executionStartSchema,
  executionCachedSchema,
  progressStateSchema,
  executingSchema,
  progressSchema,
  executedSchema,
  executionSuccessSchema,
  executionErrorSchema,
  executionInterruptedSchema,
]);

export type ServerMessage = z.infer<typeof serverMessageSchema>;
export type ExecutionErrorData = z.infer<typeof executionErrorDataSchema>;
export type ExecutionInterruptedData = z.infer<typeof executionInterruptedDataSchema>;

/** Messages about one prompt. */
export type PromptMessage = Exclude<ServerMessage, { type: "status" } | { type: "feature_flags" }>;

/**
 * Reads one text message. Returns `undefined` for a message that Genga does not understand (broken JSON, message types
 * of custom node packs, other layouts): the caller counts such messages and continues.
 */
export function parseMessage(text: string): ServerMessage | undefined {
  let json: unknown;
  try {
    json = parsePythonJson(text);
  } catch {
    return undefined; // The caller counts broken messages; they never end a watch.
  }
  return serverMessageSchema.safeParse(json).data;
}

/** Whether the server says how the prompt ended; `executing {node: null}` comes after it (PROTOCOL 3). */
export function isEndAnnouncement({ type }: PromptMessage): boolean {
  return type === "execution_success" || type === "execution_error" || type === "execution_interrupted";
}

/** The first JSON message that a client may send; it asks for previews that name their prompt and node. */
export const clientFeatureFlags = JSON.stringify({
  type: "feature_flags",
  data: { supports_preview_metadata: true },
});
