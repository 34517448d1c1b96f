/** The grammar of a JSON number (RFC 8259, section 6). */
const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * A number of a JSON text that a JavaScript number would change: an integer beyond 2^53−1, a float whose value is
 * whole (`1.0`, `1e5`, `-0.0`; Python tells 1.0 from 1), or a number beyond the range of a double (`1e400`).
 * It keeps the number as it was written. Graphs hold it as a leaf, beside ordinary numbers.
 */
export class ExactNumber {
  /** The number as it was written. */
  readonly text: string;

  /** @throws SyntaxError if the text is no JSON number */
  constructor(text: string) {
    if (!jsonNumber.test(text))
      throw new SyntaxError(`${JSON.stringify(text.slice(0, 100))} is no JSON number`);
    this.text = text;
  }

  /** Whether Python reads the number as a `float`: it was written with a point or an exponent. */
  get isFloat(): boolean {
    return isFloatText(this.text);
  }

  /** The nearest JavaScript number; infinite beyond the range of a double. */
  toNumber(): number {
    return Number(this.text);
  }

  /** All digits of an integer. @throws SyntaxError for a float */
  toBigInt(): bigint {
    return BigInt(this.text);
  }

  /**
   * What `JSON.stringify` writes for clients: a text where most clients would round the number (integers beyond 2^53−1,
   * numbers beyond the range of a double), else a plain number.
   */
  toJSON(): string | number {
    const number = this.toNumber();
    if (this.isFloat) return Number.isFinite(number) ? number : this.text;
    return Number.isSafeInteger(number) ? number : this.text;
  }

  toString(): string {
    return this.text;
  }
}

/** The JavaScript number nearest to a number of a graph, exact or not; undefined for anything else. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return value instanceof ExactNumber ? value.toNumber() : undefined;
}

/**
 * Reads JSON without a loss: plain values as `JSON.parse` makes them, and an `ExactNumber` where a JavaScript number
 * would change what was written. For a text without such numbers it takes one search of the text more than
 * `JSON.parse`.
 * @throws SyntaxError as `JSON.parse` does
 */
export function parseExactJson(text: string): unknown {
  const plain: unknown = JSON.parse(text);
  if (!mayHoldExactNumbers.test(text)) return plain;
  const quoted = rewriteTokens(text, (token) => (changesAsNumber(token) ? `"${token}"` : token));
  if (quoted === text) return plain;
  return restoreNumbers(plain, JSON.parse(quoted), (token) => new ExactNumber(token));
}

/** Writes JSON; the inverse of `parseExactJson`: exact numbers come out as they were written. */
export function stringifyExactJson(value: unknown): string {
  return (holdsExactNumber(value) ? write(value) : JSON.stringify(value)) ?? "null";
}

/**
 * The value as clients receive it, in plain JSON (`ExactNumber.toJSON`): a number that most clients would round becomes
 * a text. The value itself where it holds no exact number.
 */
export function toClientJson(value: unknown): unknown {
  return holdsExactNumber(value) ? JSON.parse(JSON.stringify(value)) : value;
}

/**
 * The same for a JSON text: integers beyond 2^53−1 become strings, and everything else stays as it is written. A client
 * in Python reads `1.0` as it was sent.
 */
export function toClientJsonText(text: string): string {
  if (!mayHoldExactNumbers.test(text)) return text;
  return rewriteTokens(text, (token) =>
    changesAsNumber(token) && typeof new ExactNumber(token).toJSON() === "string" ? `"${token}"` : token,
  );
}

/** A value in which every exact number is the nearest JavaScript number; the value itself where it holds none. */
export function roundNumbers(value: unknown): unknown {
  if (!holdsExactNumber(value)) return value;
  const rounded: unknown = JSON.parse(stringifyExactJson(value));
  return rounded;
}

/**
 * Reads the JSON that Python's `json.dumps` writes, which knows bare `NaN`, `Infinity` and `-Infinity`; they become
 * the JavaScript numbers of that name (which `JSON.stringify` writes as null). Other numbers are read as by
 * `JSON.parse`. One such number in any prompt makes `/queue` and `/history` of a server unreadable to strict parsers
 * (PROTOCOL-0.28, section 6). @throws SyntaxError for everything else that is no JSON
 */
export function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!mayHoldPythonNumbers.test(text)) throw error;
    const zeroed = rewriteTokens(text, (token) => (pythonNumbers.has(token) ? "0" : token));
    if (zeroed === text) throw error;
    const plain: unknown = JSON.parse(zeroed);
    const quoted = rewriteTokens(text, (token) => (pythonNumbers.has(token) ? `"${token}"` : token));
    return restoreNumbers(plain, JSON.parse(quoted), Number);
  }
}

const mayHoldPythonNumbers = /NaN|Infinity/;
const pythonNumbers = new Set(["NaN", "Infinity", "-Infinity"]);

/**
 * Finds every text that may be an exact number: sixteen digits in a row (with a point among them: `0.99999999999999999`
 * is read as 1), an exponent, a fraction of zeros. It may find more, in strings above all; never less.
 */
const mayHoldExactNumbers = /[\d.]{16}|\d[eE][-+]?\d|\.0+(?!\d)/;

function isFloatText(token: string): boolean {
  return /[.eE]/.test(token);
}

/** Whether `JSON.parse` followed by `JSON.stringify` would write another number, or an int for a float. */
function changesAsNumber(token: string): boolean {
  const number = Number(token);
  // The token is a word: true, false or null.
  if (Number.isNaN(number)) return false;
  if (isFloatText(token)) return Number.isInteger(number) || !Number.isFinite(number);
  return !Number.isSafeInteger(number);
}

/** A number, or a word such as `true` or `NaN`, at exactly one place. */
const jsonToken = /[-+.\w]+/y;
const [quote, backslash] = [0x22, 0x5c];

/** A copy of a JSON text in which every token outside of strings (a number, a word) is replaced. */
function rewriteTokens(text: string, replace: (token: string) => string): string {
  let copy = "";
  let copied = 0;
  for (let at = 0; at < text.length;) {
    if (text.charCodeAt(at) === quote) {
      at = endOfString(text, at);
      continue;
    }
    jsonToken.lastIndex = at;
    if (!jsonToken.test(text)) {
      at += 1;
      continue;
    }
    const token = text.slice(at, jsonToken.lastIndex);
    const replaced = replace(token);
    if (replaced !== token) {
      copy += text.slice(copied, at) + replaced;
      copied = at + token.length;
    }
    at += token.length;
  }
  return copied === 0 ? text : copy + text.slice(copied);
}

/** The place after the string that begins at `start`; the end of the text if it is not closed. */
export function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === backslash) escapes += 1;
    if (escapes % 2 === 0) return at + 1;
  }
  return text.length;
}

/**
 * `plain` and `quoted` are one JSON text read twice, the second time with some numbers written as strings: wherever
 * the first has a number and the second a string, the number is made of that string. It changes `quoted`. It does
 * not recurse, since the nesting of a text is only bounded by its length.
 */
function restoreNumbers(plain: unknown, quoted: unknown, make: (token: string) => unknown): unknown {
  const root = { value: quoted };
  const pending: [object, object][] = [[{ value: plain }, root]];
  for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) {
    const [plainOwner, owner] = pair;
    for (const key of keysOf(owner)) {
      const is: unknown = Reflect.get(owner, key);
      if (typeof is === "string") {
        if (typeof Reflect.get(plainOwner, key) === "number") Reflect.set(owner, key, make(is));
      } else if (isContainer(is)) {
        const was: unknown = Reflect.get(plainOwner, key);
        if (isContainer(was)) pending.push([was, is]);
      }
    }
  }
  return root.value;
}

/** For a list, yields numbers as keys, so that a list of a million numbers does not create a million texts. */
function keysOf(owner: object): Iterable<PropertyKey> {
  return Array.isArray(owner) ? owner.keys() : Object.keys(owner);
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function holdsExactNumber(value: unknown): boolean {
  if (!isContainer(value)) return false;
  if (value instanceof ExactNumber) return true;
  // Plain loops for speed: a batch sends ten thousand graphs through this function.
  if (Array.isArray(value)) {
    for (const item of value) if (holdsExactNumber(item)) return true;
    return false;
  }
  for (const key in value) if (holdsExactNumber(Reflect.get(value, key))) return true;
  return false;
}

/** As `JSON.stringify` writes plain data; undefined for values that JSON cannot represent. */
function write(value: unknown): string | undefined {
  if (value instanceof ExactNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map((item) => write(item) ?? "null").join()}]`;
  if (!isContainer(value) || "toJSON" in value) return JSON.stringify(value);
  const members = Object.entries(value).flatMap(([key, member]) => {
    const json = write(member);
    return json === undefined ? [] : [`${JSON.stringify(key)}:${json}`];
  });
  return `{${members.join()}}`;
}
