import { endOfString } from "./exact-json.ts";

/** A name that stands twice in one object of a JSON text, and the place where it stands the second time. */
export interface RepeatedName {
  name: string;
  line: number;
  column: number;
}

const structure = /["{}]/g;
const colon = /[ \t\r\n]*:/y;

/**
 * The first name that an object of a JSON text has twice. Parsers disagree about such objects (RFC 8259, section 4):
 * one keeps the first value, another the last. The text must be well-formed; each character is read once.
 */
export function findRepeatedName(text: string): RepeatedName | undefined {
  /** The names of each object that is open here. Most have a few. */
  const open: Set<string>[] = [];
  structure.lastIndex = 0;
  for (let found = structure.exec(text); found !== null; found = structure.exec(text)) {
    const at = found.index;
    if (found[0] === "{") open.push(new Set());
    else if (found[0] === "}") open.pop();
    else {
      const end = endOfString(text, at);
      structure.lastIndex = colon.lastIndex = end;
      const names = colon.test(text) ? open.at(-1) : undefined;
      if (names === undefined) continue;
      const name = nameIn(text.slice(at, end));
      if (names.has(name)) return { name, ...placeOf(text, at) };
      names.add(name);
    }
  }
  return undefined;
}

/** `"\u0061"` is the name `a`. */
function nameIn(quoted: string): string {
  return quoted.includes("\\") ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}

function placeOf(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
