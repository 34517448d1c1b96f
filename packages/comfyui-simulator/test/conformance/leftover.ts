import { setTimeout as delay } from "node:timers/promises";
import { stringifyPythonJson } from "../../src/python/python-json.ts";
import { isDict, type PythonDict, type PythonValue } from "../../src/python/python-values.ts";
import { dictAt, textAt, type RecordedEvent } from "../replay/recording.ts";

/**
 * The graph whose results were in the recorded server's cache before the first prompt of a recording, from work that
 * was not recorded. Undefined when there were none.
 */
export function leftoverOf(events: readonly RecordedEvent[]): PythonDict | undefined {
  const message = events.find(
    ({ kind, fields }) => kind === "ws_recv" && textAt(dictAt(fields, "msg"), "type") === "execution_cached",
  );
  if (!message) return undefined;
  const promptId = textAt(dictAt(dictAt(message.fields, "msg"), "data"), "prompt_id");
  const reply = events.find(
    ({ kind, fields }) =>
      kind === "http_response" && textAt(dictAt(fields, "body"), "prompt_id") === promptId,
  );
  const request = events.find(
    ({ kind, fields }) => kind === "http_request" && fields.get("n") === reply?.fields.get("n"),
  );
  if (!request) return undefined;
  const nodes = dictAt(dictAt(request.fields, "body"), "prompt");
  const cached = dictAt(dictAt(message.fields, "msg"), "data").get("nodes");
  const ids = Array.isArray(cached) ? cached.filter((id) => typeof id === "string") : [];
  if (ids.length === 0 || ids.some((id) => !nodes.has(id))) return undefined;
  const graph: PythonDict = new Map();
  for (const id of ids) {
    const node = nodes.get(id);
    if (isDict(node)) graph.set(id, node);
    graph.set(`shown ${id}`, showing(id));
  }
  return graph;
}

/** Runs a graph and forgets that it ran; what it made stays in the cache. */
export async function run(url: string, graph: PythonDict): Promise<void> {
  const body = stringifyPythonJson(new Map([["prompt", graph]]));
  const reply = await fetch(`${url}/prompt`, { method: "POST", body });
  if (!reply.ok)
    throw new Error(`what the recorded server had in its cache was refused: ${await reply.text()}`);
  for (;;) {
    const queue = await (await fetch(`${url}/prompt`)).text();
    if (/"queue_remaining": ?0\b/.test(queue)) break;
    await delay(20);
  }
  await fetch(`${url}/history`, { method: "POST", body: JSON.stringify({ clear: true }) });
}

/** An output node that makes the server run the node with this id. */
function showing(id: string): PythonDict {
  return new Map<string, PythonValue>([
    ["class_type", "PreviewAny"],
    ["inputs", new Map<string, PythonValue>([["source", [id, 0]]])],
  ]);
}
