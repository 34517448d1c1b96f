import { type QueuedPrompt } from "../execution/prompt-heap.ts";
import { type HistoryEntry } from "../execution/prompt-queue.ts";
import { type PythonJson } from "../python/python-json.ts";
import {
  isDict,
  PythonError,
  PythonFloat,
  pythonText,
  pythonTypeName,
  type PythonValue,
} from "../python/python-values.ts";
import { statusJson } from "./history-routes.ts";

/** An item of `/api/jobs`. Fields without a value are left out (PROTOCOL-0.28, 4). */
export type Job = Readonly<Record<string, PythonJson>>;

const previewable = ["images", "video", "audio", "3d", "text"];
const modelFile = /\.(obj|fbx|gltf|glb|usdz)$/i;
const textFile = /\.(txt|md|json)$/i;
const textPreviewMax = 1024;

/** @throws PythonError for an `extra_data` that the server's own code cannot read: all of `/api/jobs` is 500 then */
export function queueJob(prompt: QueuedPrompt, status: "pending" | "in_progress"): Job {
  const { create_time, workflow_id } = originOf(prompt.extraData);
  return pruned({
    id: prompt.promptId,
    status,
    priority: prompt.number,
    create_time,
    outputs_count: 0,
    workflow_id,
  });
}

/**
 * @param isWhole whether to include outputs, status and graph, as `/api/jobs/{id}` does; @throws PythonError as above
 */
export function historyJob(entry: HistoryEntry, isWhole = false): Job {
  const { prompt } = entry;
  const { create_time, workflow_id } = originOf(prompt.extraData);
  const { count, preview } = summaryOf(entry.outputs);
  const timeOf = (fits: (type: string) => boolean): PythonJson =>
    entry.status.messages.findLast(({ type }) => fits(type))?.data["timestamp"] ?? null;
  const job = pruned({
    id: prompt.promptId,
    status: statusOf(entry),
    priority: prompt.number,
    create_time,
    execution_start_time: timeOf((type) => type === "execution_start"),
    execution_end_time: timeOf((type) => /^execution_(success|error|interrupted)$/.test(type)),
    execution_error: entry.status.messages.findLast(({ type }) => type === "execution_error")?.data ?? null,
    outputs_count: count,
    preview_output: preview,
    workflow_id,
  });
  if (!isWhole) return job;
  return {
    ...job,
    outputs: normalized(entry.outputs),
    execution_status: statusJson(entry),
    workflow: { prompt: prompt.graph, extra_data: prompt.extraData },
  };
}

function statusOf(entry: HistoryEntry): string {
  if (entry.status.status_str === "success") return "completed";
  const wasInterrupted = entry.status.messages.some(({ type }) => type === "execution_interrupted");
  return wasInterrupted ? "cancelled" : "failed";
}

function pruned(fields: Record<string, PythonJson>): Job {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

function originOf(extraData: PythonValue): { create_time: PythonValue; workflow_id: PythonValue } {
  // The key may be absent. A null makes the request for the whole list fail.
  const info = getFrom(extraData, "extra_pnginfo");
  const workflow = getFrom(info === undefined ? new Map() : info, "workflow");
  return {
    create_time: getFrom(extraData, "create_time") ?? null,
    workflow_id: getFrom(workflow === undefined ? new Map() : workflow, "id") ?? null,
  };
}

/** Python's `value.get(key)`. */
function getFrom(value: PythonValue, key: string): PythonValue | undefined {
  if (isDict(value)) return value.get(key);
  throw new PythonError("AttributeError", `'${pythonTypeName(value)}' object has no attribute 'get'`);
}

/**
 * The number of files (texts do not count), and the first output that can be shown, saved files before temporary ones.
 */
function summaryOf(outputs: ReadonlyMap<string, PythonJson>): { count: number; preview: PythonJson } {
  let count = 0;
  let saved: PythonJson = null;
  let fallback: PythonJson = null;
  for (const { nodeId, key, item } of itemsOf(outputs)) {
    const file = fileOf(item);
    if (file === undefined) {
      if (key === "text" && saved === null && item !== null) fallback ??= textPreview(item, nodeId);
      continue;
    }
    count += 1;
    if (saved !== null || !isPreviewable(key, file)) continue;
    const shown: Record<string, PythonJson> = {
      ...file,
      nodeId,
      ...("mediaType" in file ? {} : { mediaType: key }),
    };
    if (file["type"] === "output") saved = shown;
    else fallback ??= shown;
  }
  return { count, preview: saved ?? fallback };
}

function* itemsOf(
  outputs: ReadonlyMap<string, PythonJson>,
): Generator<{ nodeId: string; key: string; item: PythonJson }> {
  for (const [nodeId, output] of outputs) {
    for (const [key, items] of Object.entries(fieldsOf(output) ?? {})) {
      if (key === "animated" || !Array.isArray(items)) continue;
      for (const item of items as readonly PythonJson[]) yield { nodeId, key, item };
    }
  }
}

function fieldsOf(value: PythonJson): Record<string, PythonJson> | undefined {
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof PythonFloat) {
    return undefined;
  }
  return value instanceof Map
    ? (Object.fromEntries(value) as Record<string, PythonJson>)
    : (value as Record<string, PythonJson>);
}

/** Dicts are files, and so are texts that name a 3D model. */
function fileOf(item: PythonJson): Record<string, PythonJson> | undefined {
  if (typeof item !== "string") return fieldsOf(item);
  return modelFile.test(item)
    ? { filename: item, type: "output", subfolder: "", mediaType: "3d" }
    : undefined;
}

function isPreviewable(key: string, file: Record<string, PythonJson>): boolean {
  const name = textAt(file, "filename");
  return (
    previewable.includes(key) ||
    /^(video|audio)\//.test(textAt(file, "format")) ||
    modelFile.test(name) ||
    textFile.test(name)
  );
}

function textAt(file: Record<string, PythonJson>, key: string): string {
  const value = file[key];
  return typeof value === "string" ? value : "";
}

function textPreview(item: PythonJson, nodeId: string): PythonJson {
  const text = typeof item === "string" ? item : pythonText(item as PythonValue);
  const content = text.slice(0, textPreviewMax);
  const cut = text.length > textPreviewMax ? { truncated: true } : {};
  return { content, ...cut, nodeId, mediaType: "text" };
}

function normalized(outputs: ReadonlyMap<string, PythonJson>): PythonJson {
  return new Map(
    [...outputs].map(([nodeId, output]): [string, PythonJson] => {
      const fields = Object.entries(fieldsOf(output) ?? {}).map(([key, items]): [string, PythonJson] => [
        key,
        key === "animated" || !Array.isArray(items)
          ? items
          : (items as readonly PythonJson[])
              .filter((item) => item !== null)
              .map((item) => (typeof item === "string" ? (fileOf(item) ?? item) : item)),
      ]);
      return [nodeId, Object.fromEntries(fields)];
    }),
  );
}
