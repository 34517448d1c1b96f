import { endOfString } from "./exact-json.ts";

/**
 * The members of a JSON object, each value as it is written: numbers keep their form, and Python's bare `NaN` stays.
 * The text must be JSON, except for such numbers. @throws SyntaxError it is no object
 */
export function rawMembers(text: string): Map<string, string> {
  const members = new Map<string, string>();
  const start = /^\s*\{/.exec(text);
  if (start === null) throw new SyntaxError("The text is no JSON object.");
  let at = start[0].length;
  for (;;) {
    const quote = text.indexOf('"', at);
    const end = text.indexOf("}", at);
    if (quote === -1 || (end !== -1 && end < quote)) return members;
    const keyEnd = endOfString(text, quote);
    const valueStart = text.indexOf(":", keyEnd) + 1;
    const valueEnd = endOfValue(text, valueStart);
    const key: unknown = JSON.parse(text.slice(quote, keyEnd));
    members.set(String(key), text.slice(valueStart, valueEnd).trim());
    at = valueEnd;
  }
}

/** The elements of a JSON list, each as it is written. @throws SyntaxError it is no list */
export function rawElements(text: string): string[] {
  const start = /^\s*\[\s*/.exec(text);
  if (start === null) throw new SyntaxError("The text is no JSON list.");
  const elements: string[] = [];
  let at = start[0].length;
  while (text[at] !== "]" && at < text.length) {
    const end = endOfValue(text, at);
    elements.push(text.slice(at, end).trim());
    at = text[end] === "," ? end + 1 : end;
  }
  return elements;
}

/** Changes the strings of a JSON text, and keeps everything else as it is written. Names of members are strings as well. */
export function rewriteStrings(text: string, change: (plain: string) => string): string {
  let copy = "";
  let copied = 0;
  for (let at = text.indexOf('"'); at !== -1;) {
    const end = endOfString(text, at);
    const plain = String(JSON.parse(text.slice(at, end)));
    const changed = change(plain);
    if (changed !== plain) {
      copy += text.slice(copied, at) + JSON.stringify(changed);
      copied = end;
    }
    at = text.indexOf('"', end);
  }
  return copied === 0 ? text : copy + text.slice(copied);
}

/** The place of the comma or bracket behind the value that begins at `start`. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length;) {
    const character = text[at];
    if (character === '"') {
      at = endOfString(text, at);
      continue;
    }
    if (character === "{" || character === "[") depth += 1;
    else if (depth === 0 && (character === "," || character === "}" || character === "]")) return at;
    else if (character === "}" || character === "]") depth -= 1;
    at += 1;
  }
  return text.length;
}
