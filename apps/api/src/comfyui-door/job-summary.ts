import { type ExactNumber, isObject } from "@genga/comfyui";
import { type DoorPrompt, type EndedDoorPrompt, type JobStatus } from "@genga/jobs";
import { shownNumber } from "./prompt-number.ts";

export const serverJobStatuses = ["pending", "in_progress", "completed", "failed", "cancelled"] as const;
export type ServerJobStatus = (typeof serverJobStatuses)[number];

/** A prompt as newer servers list it under `/api/jobs` (PROTOCOL-0.28 4). Fields without a value are left out. */
export interface JobSummary {
  id: string;
  status: ServerJobStatus;
  /** Of a number that the client chose a float, as in the queue. */
  priority: number | ExactNumber;
  create_time: number;
  execution_start_time?: number;
  execution_end_time?: number;
  execution_error?: unknown;
  outputs_count: number;
  preview_output?: object;
  workflow_id?: string;
}

/** What a server's history entry has, apart from the prompt itself. */
export interface HistoryEntry {
  outputs: Record<string, unknown>;
  status: { messages: unknown[] };
}

const shownTextMax = 1_024;
const statuses: Record<JobStatus, ServerJobStatus> = {
  ...({ queued: "pending", processing: "in_progress", completed: "completed" } as const),
  ...({ failed: "failed", timeout: "failed", cancelled: "cancelled" } as const),
};

export function summaryOf(prompt: DoorPrompt & { extraData: string | null }): JobSummary {
  const workflowId = workflowIdOf(prompt.extraData);
  return {
    id: prompt.promptId,
    status: statuses[prompt.status],
    priority: shownNumber(prompt.number),
    create_time: prompt.createdAt.getTime(),
    outputs_count: 0,
    ...(workflowId !== undefined && { workflow_id: workflowId }),
  };
}

export function summaryOfEnded(prompt: EndedDoorPrompt, entry: HistoryEntry): JobSummary {
  const { startedAt, finishedAt } = prompt;
  const files = filesIn(entry.outputs);
  const preview = files.find(({ type }) => type === "output") ?? files[0] ?? textIn(entry.outputs);
  const error = entry.status.messages.find(
    (message) => Array.isArray(message) && message[0] === "execution_error",
  );
  return {
    ...summaryOf(prompt),
    ...(startedAt !== null && { execution_start_time: startedAt.getTime() }),
    ...(finishedAt !== null && { execution_end_time: finishedAt.getTime() }),
    ...(Array.isArray(error) && { execution_error: error[1] as unknown }),
    outputs_count: files.length,
    ...(preview !== undefined && { preview_output: preview }),
  };
}

function* listsIn(
  outputs: Record<string, unknown>,
): Generator<[nodeId: string, key: string, list: unknown[]]> {
  for (const [nodeId, lists] of Object.entries(outputs)) {
    if (!isObject(lists)) continue;
    for (const [key, list] of Object.entries(lists)) if (Array.isArray(list)) yield [nodeId, key, list];
  }
}

function filesIn(outputs: Record<string, unknown>): Record<string, unknown>[] {
  return [...listsIn(outputs)].flatMap(([nodeId, mediaType, list]) =>
    list.flatMap((item) =>
      isObject(item) && typeof item["filename"] === "string" ? [{ ...item, nodeId, mediaType }] : [],
    ),
  );
}

function textIn(outputs: Record<string, unknown>): Record<string, unknown> | undefined {
  for (const [nodeId, mediaType, list] of listsIn(outputs)) {
    const [text] = list;
    if (typeof text !== "string") continue;
    const isLong = text.length > shownTextMax;
    return { content: text.slice(0, shownTextMax), ...(isLong && { truncated: true }), nodeId, mediaType };
  }
  return undefined;
}

function workflowIdOf(extraData: string | null): string | undefined {
  let read: unknown;
  for (const name of ["extra_pnginfo", "workflow", "id"]) {
    read ??= JSON.parse(extraData ?? "null");
    if (!isObject(read)) return undefined;
    read = read[name];
  }
  return typeof read === "string" ? read : undefined;
}
