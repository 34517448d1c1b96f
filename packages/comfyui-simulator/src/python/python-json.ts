import {
  narrow,
  PythonError,
  PythonFloat,
  floatRepr,
  type PythonDict,
  type PythonValue,
} from "./python-values.ts";

/** The values that `stringifyPythonJson` can write: Python values, and plain objects of the simulator. */
export type PythonJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | PythonFloat
  | readonly PythonJson[]
  | ReadonlyMap<string, PythonJson>
  | { readonly [key: string]: PythonJson };

/** Raised for a text that is not JSON. The server answers it with 500, except at /interrupt. */
export class JsonDecodeError extends PythonError {
  constructor(message: string) {
    super("json.decoder.JSONDecodeError", message);
    this.name = "JsonDecodeError";
  }
}

const depthMax = 990;

/**
 * Reads JSON the way Python's `json.loads` does: ints and floats kept apart, ints of any size exact, NaN and Infinity
 * allowed, object keys in order of appearance. @throws JsonDecodeError, PythonError (RecursionError)
 */
export function parsePythonJson(text: string): PythonValue {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  readonly text: string;
  #at = 0;

  constructor(text: string) {
    this.text = text;
  }

  value(depth: number): PythonValue {
    if (depth > depthMax) throw new PythonError("RecursionError", "maximum recursion depth exceeded");
    this.#space();
    const first = this.text[this.#at];
    if (first === "{") return this.#dict(depth);
    if (first === "[") return this.#list(depth);
    return first === '"' ? this.#string() : this.#literal();
  }

  end(): void {
    this.#space();
    if (this.#at !== this.text.length) this.#fail("Extra data");
  }

  #dict(depth: number): PythonDict {
    const dict: PythonDict = new Map();
    this.#at += 1;
    this.#space();
    if (this.text[this.#at] === "}") {
      this.#at += 1;
      return dict;
    }
    for (;;) {
      this.#space();
      if (this.text[this.#at] !== '"') this.#fail("Expecting property name enclosed in double quotes");
      const key = this.#string();
      this.#space();
      if (this.text[this.#at] !== ":") this.#fail("Expecting ':' delimiter");
      this.#at += 1;
      dict.set(key, this.value(depth + 1));
      if (this.#next("}")) return dict;
    }
  }

  #list(depth: number): PythonValue[] {
    const list: PythonValue[] = [];
    this.#at += 1;
    this.#space();
    if (this.text[this.#at] === "]") {
      this.#at += 1;
      return list;
    }
    for (;;) {
      list.push(this.value(depth + 1));
      if (this.#next("]")) return list;
    }
  }

  /** Steps over a comma (false) or the closing bracket (true). */
  #next(close: string): boolean {
    this.#space();
    const found = this.text[this.#at];
    if (found !== "," && found !== close) this.#fail("Expecting ',' delimiter");
    this.#at += 1;
    return found === close;
  }

  #string(): string {
    const start = this.#at;
    for (let at = start + 1; at < this.text.length; at += 1) {
      const code = this.text.charCodeAt(at);
      if (code === 0x5c) at += 1;
      else if (code < 0x20) this.#fail("Invalid control character at");
      else if (code === 0x22) {
        this.#at = at + 1;
        const raw = this.text.slice(start, at + 1);
        if (!raw.includes("\\")) return raw.slice(1, -1);
        try {
          return String(JSON.parse(raw));
        } catch {
          this.#fail("Invalid \\escape");
        }
      }
    }
    return this.#fail("Unterminated string starting at");
  }

  #literal(): PythonValue {
    literalPattern.lastIndex = this.#at;
    const found = literalPattern.exec(this.text)?.[0];
    if (found === undefined) return this.#fail("Expecting value");
    this.#at += found.length;
    const constant = constantsByName.get(found);
    if (constant !== undefined) return constant;
    if (/[.eE]/.test(found)) return new PythonFloat(Number(found));
    return found.length < 16 ? Number(found) : narrow(BigInt(found));
  }

  #space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at += 1;
    }
  }

  #fail(message: string): never {
    throw new JsonDecodeError(`${message}: line 1 column ${this.#at + 1} (char ${this.#at})`);
  }
}

const literalPattern = /true|false|null|NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

const constantsByName = new Map<string, PythonValue>([
  ["true", true],
  ["false", false],
  ["null", null],
  ["NaN", new PythonFloat(Number.NaN)],
  ["Infinity", new PythonFloat(Infinity)],
  ["-Infinity", new PythonFloat(-Infinity)],
]);

/** Writes JSON the way Python's `json.dumps` does: `", "` and `": "`, floats as floats, everything else as ASCII. */
export function stringifyPythonJson(value: PythonJson): string {
  if (value === null) return "null";
  if (value instanceof PythonFloat) return jsonFloat(value.value);
  if (typeof value === "string") return asciiString(value);
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : jsonFloat(value);
  if (isList(value)) return `[${value.map(stringifyPythonJson).join(", ")}]`;
  const entries: [string, PythonJson][] = isMap(value) ? [...value] : Object.entries(value);
  return `{${entries.map(([key, item]) => `${asciiString(key)}: ${stringifyPythonJson(item)}`).join(", ")}}`;
}

function isMap(value: object): value is ReadonlyMap<string, PythonJson> {
  return value instanceof Map;
}

function isList(value: object): value is readonly PythonJson[] {
  return Array.isArray(value);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  return floatRepr(value);
}

function asciiString(text: string): string {
  const json = JSON.stringify(text);
  return nonAscii.test(json) ? json.replace(nonAsciiAll, escapeUnit) : json;
}

const nonAscii = /[\u007f-\uffff]/;
const nonAsciiAll = /[\u007f-\uffff]/g;

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
