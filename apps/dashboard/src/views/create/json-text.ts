// Graphs are handled as text: their seeds have up to 64 bits, of which JSON.parse would lose some.

/** Strings as they are, and between them everything else, sign by sign. */
const tokens = /"(?:[^"\\]|\\[^])*"|-?\bInfinity\b|\bNaN\b|[{}[\],:]|[^\s"{}[\],:]+/g;
const textMax = 8_000_000;

/** JSON with one value a line, every number with its digits. What Python writes for no number becomes null. */
export function indentedJson(text: string): string {
  if (text.length > textMax) return text;
  let depth = 0;
  let out = "";
  let before = "";
  const newLine = (): string => `\n${"  ".repeat(Math.min(depth, 40))}`;
  for (const [token] of text.matchAll(tokens)) {
    if (token === "}" || token === "]") {
      depth -= 1;
      out += before === "{" || before === "[" ? token : `${newLine()}${token}`;
    } else {
      if (before === "{" || before === "[" || before === ",") out += newLine();
      if (token === "{" || token === "[") depth += 1;
      out += token === ":" ? ": " : /^(-?Infinity|NaN)$/.test(token) ? "null" : token;
    }
    before = token;
  }
  return out;
}

export type GraphText =
  { readonly text: string; readonly problem?: never } | { readonly text?: never; readonly problem: string };

/** Whether a text can be a graph at all; the API judges the rest. */
export function readGraphText(given: string): GraphText {
  if (given.trim() === "") return { problem: "Paste a graph in API format, or drop a file." };
  let parsed: unknown;
  try {
    parsed = JSON.parse(given);
  } catch (error) {
    return { problem: `This is no JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return { problem: "A graph is a JSON object: the nodes by their ids." };
  }
  return { text: given };
}

/** Where a node begins in the text of a graph, for whoever wants to look at it. */
export function placeOfNode(text: string, nodeId: string): number {
  const key = JSON.stringify(nodeId);
  for (let at = text.indexOf(key); at !== -1; at = text.indexOf(key, at + key.length)) {
    if (/^\s*:\s*\{/.test(text.slice(at + key.length, at + key.length + 50))) return at;
  }
  return -1;
}
