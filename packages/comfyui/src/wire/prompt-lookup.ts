import { z } from "zod";

import { ComfyUIError } from "./errors.ts";
import { executionErrorOf } from "./execution-errors.ts";
import {
  executionErrorDataSchema,
  executionInterruptedDataSchema,
  type ExecutionErrorData,
  type ExecutionInterruptedData,
} from "./messages.ts";

/**
 * `[number, prompt_id, graph, extra_data, output node ids]` (PROTOCOL 4); newer servers may append to it. A prompt that
 * was sent with `"number": NaN` (PROTOCOL-0.28 6) has no place in the order, so it counts as the last.
 */
const queueEntrySchema = z.tuple([z.number().catch(Number.POSITIVE_INFINITY), z.string()]).rest(z.unknown());

/** `GET /queue`. */
export const queueSchema = z.object({
  queue_running: z.array(queueEntrySchema),
  queue_pending: z.array(queueEntrySchema),
});
type QueueReply = z.infer<typeof queueSchema>;

/** One entry of `GET /history` (PROTOCOL 5). The graph and `meta` are not kept. */
export const historyEntrySchema = z.object({
  outputs: z.record(z.string(), z.unknown()).default({}),
  status: z
    .object({
      status_str: z.string(),
      completed: z.boolean(),
      messages: z.array(z.tuple([z.string(), z.unknown()])).catch([]),
    })
    .nullish(),
});

/** A server's record of a prompt that has ended. */
export type HistoryEntry = z.infer<typeof historyEntrySchema> & {
  /** The answer in which it came, under the id of its prompt, as JSON text. */
  reply?: string;
};

/** One prompt in a server's queue. */
export interface QueuedPrompt {
  promptId: string;
  /** The server's priority: smallest first. */
  number: number;
}

/** A server's queue in the order in which it will run. */
export interface ServerQueue {
  running: QueuedPrompt[];
  pending: QueuedPrompt[];
}

/** Where a prompt stands, or how it ended. `absent` = deleted, evicted, or lost in a restart. */
export type PromptLookup = { state: "waiting"; position: number } | { state: "running" } | SettledLookup;

/** The state of a prompt that has ended, and so will not change any more. */
export type SettledLookup =
  | {
      state: "finished";
      /** How long it executed, by the server's clock; `undefined` = the history does not say. */
      executedMs: number | undefined;
      history: HistoryEntry;
    }
  | { state: "failed"; error: ComfyUIError; report: ExecutionErrorData | undefined; history: HistoryEntry }
  | {
      state: "interrupted";
      report: ExecutionInterruptedData | undefined;
      /** How long it had been executing by then, by the server's clock; `undefined` = the history does not say. */
      executedMs: number | undefined;
      history: HistoryEntry;
    }
  | {
      state: "absent";
      /** The prompts that were in the server's queue then. */
      others: readonly string[];
    };

export function isSettled(lookup: PromptLookup): lookup is SettledLookup {
  return lookup.state !== "waiting" && lookup.state !== "running";
}

/** `queue_pending` is a raw heap: only sorting by (number, prompt id) gives the order of execution (PROTOCOL 4). */
export function orderQueue(reply: QueueReply): ServerQueue {
  const toPrompt = ([number, promptId]: [number, string, ...unknown[]]): QueuedPrompt => ({
    promptId,
    number,
  });
  return {
    running: reply.queue_running.map(toPrompt),
    pending: reply.queue_pending
      .map(toPrompt)
      .sort(
        (one, other) =>
          one.number - other.number ||
          (one.promptId < other.promptId ? -1 : one.promptId > other.promptId ? 1 : 0),
      ),
  };
}

/** `undefined` when the prompt is not in the queue. `position` counts the prompts that run before it. */
export function lookupInQueue(promptId: string, queue: ServerQueue): PromptLookup | undefined {
  if (queue.running.some((prompt) => prompt.promptId === promptId)) return { state: "running" };
  const place = queue.pending.findIndex((prompt) => prompt.promptId === promptId);
  return place < 0 ? undefined : { state: "waiting", position: queue.running.length + place };
}

/**
 * How a prompt in the history ended. `status_str` says `error` for failed and interrupted alike, so the last message
 * decides (PROTOCOL 0.9).
 */
export function lookupInHistory(history: HistoryEntry): SettledLookup {
  const last = history.status?.messages.at(-1);
  if (last?.[0] === "execution_interrupted") {
    const report = executionInterruptedDataSchema.safeParse(last[1]).data;
    return { state: "interrupted", report, executedMs: executedMsOf(history, report?.timestamp), history };
  }
  if (last?.[0] === "execution_error" || history.status?.status_str === "error") {
    const report =
      last?.[0] === "execution_error" ? executionErrorDataSchema.safeParse(last[1]).data : undefined;
    const error =
      report === undefined
        ? new ComfyUIError("execution_failed", "The server reports an error without naming a node.")
        : executionErrorOf(report);
    return { state: "failed", error, report, history };
  }
  const end = last?.[0] === "execution_success" ? timedDataSchema.safeParse(last[1]).data : undefined;
  return { state: "finished", executedMs: executedMsOf(history, end?.timestamp), history };
}

const timedDataSchema = z.object({ timestamp: z.number().optional() });

/** The first and the last message carry the server's time in ms, in the history as on the socket (PROTOCOL 3 and 5). */
function executedMsOf({ status }: HistoryEntry, endedAt: number | undefined): number | undefined {
  const start = status?.messages.find(([type]) => type === "execution_start");
  const startedAt = timedDataSchema.safeParse(start?.[1]).data?.timestamp;
  return startedAt === undefined || endedAt === undefined ? undefined : endedAt - startedAt;
}

/** The error of a settled prompt that has no result; `undefined` for a finished one. */
export function errorOfSettled(lookup: SettledLookup): ComfyUIError | undefined {
  switch (lookup.state) {
    case "finished":
      return undefined;
    case "failed":
      return lookup.error;
    case "interrupted":
      return new ComfyUIError("prompt_interrupted", "The prompt was interrupted on the server.", {
        nodeId: lookup.report?.node_id,
        nodeType: lookup.report?.node_type,
      });
    case "absent":
      return promptLost();
  }
}

export function promptLost(): ComfyUIError {
  return new ComfyUIError(
    "prompt_lost",
    "The server knows nothing of the prompt: it was deleted, or the server restarted.",
  );
}
