import { howToExport, isObject, looksLikeEditorFormat, looksLikeGraph } from "@genga/comfyui";
import { type JobProblem } from "@genga/jobs";

/** The right form of a submission with a graph, as messages show it. */
const rightForm = '{"type":"workflow","workflow":<graph>}';

/** The search ends after this many values, because a body may be large and hold no graph at all. */
const valuesMax = 2_000;
const depthMax = 6;

/**
 * Finds a graph that was sent in the form of another API: as the whole body, as ComfyUI's own `{prompt, client_id}`, as
 * `{input: {workflow}}`, under another name, one level too deep, or as a JSON text.
 *
 * @param body a submission, as read from JSON
 * @param options.readsTexts whether texts are searched; false where a text may be a prompt for a picture
 * @param options.sendTo a path that accepts graphs, if the path of the request does not
 * @returns the one problem to report for such a body; `undefined` if the graph is in its place, or there is none
 */
export function findMisplacedGraph(
  body: unknown,
  { readsTexts = true, sendTo }: { readsTexts?: boolean; sendTo?: string | undefined } = {},
): JobProblem | undefined {
  const isWorkflow = isObject(body) && body["type"] === "workflow";
  if (isWorkflow && looksLikeGraph(body["workflow"])) return undefined;
  const found = search(body, readsTexts);
  if (found === undefined) return undefined;
  const { path, isText, isEditorFormat } = found;
  const isInPlace = path === "workflow" && !isText;
  // The graph is in its place; validation judges it, and refuses the editor's format.
  if (isInPlace && isWorkflow) return undefined;
  const what = isEditorFormat ? "A graph in the editor's own format" : "A graph";
  const where = path === "" ? "is the body itself" : `was found at ${path}${isText ? ", as a text" : ""}`;
  const why = isInPlace ? ", but the type is missing" : "";
  const howTo = isEditorFormat ? ` No server runs that format. ${howToExport} Then send` : "; send";
  const to = sendTo === undefined ? "" : ` to ${sendTo}`;
  return {
    path,
    code: isEditorFormat ? "editor-format" : "misplaced-graph",
    message: `${what} ${where}${why}${isEditorFormat ? "." : ""}${howTo} ${rightForm}${to}${isText ? ", with the graph as a JSON object" : ""}.`,
    accepted: rightForm,
  };
}

interface FoundGraph {
  path: string;
  isText: boolean;
  isEditorFormat: boolean;
}

/** The graph nearest to the top; one in API format before one that must be exported again. */
function search(body: unknown, readsTexts: boolean): FoundGraph | undefined {
  let editorFormat: FoundGraph | undefined;
  const waiting: { value: unknown; path: string; depth: number; isText: boolean }[] = [
    { value: body, path: "", depth: 0, isText: false },
  ];
  // The loop appends to the list that it walks, so values nearer to the top come first.
  for (const { value, path, depth, isText } of waiting) {
    if (typeof value === "string" && readsTexts) {
      const parsed = parseGraphText(value);
      if (parsed !== undefined) waiting.push({ value: parsed, path, depth: depth + 1, isText: true });
    }
    if (typeof value !== "object" || value === null) continue;
    if (looksLikeGraph(value)) return { path, isText, isEditorFormat: false };
    if (looksLikeEditorFormat(value)) {
      editorFormat ??= { path, isText, isEditorFormat: true };
      continue;
    }
    if (depth >= depthMax) continue;
    for (const [key, child] of Object.entries(value)) {
      if (waiting.length >= valuesMax) break;
      const place = (path === "" ? key : `${path}.${key}`).slice(0, 200);
      waiting.push({ value: child, path: place, depth: depth + 1, isText });
    }
  }
  return editorFormat;
}

/** Parses a text that may be a graph; other texts are not parsed. */
function parseGraphText(text: string): unknown {
  if (!/^\s*\{/.test(text) || !/class_type|nodes/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
