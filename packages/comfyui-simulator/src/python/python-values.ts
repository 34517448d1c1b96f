/**
 * The values of a Python server, as they appear in JSON and in its error messages.
 *
 * A Python int is a `number` (or a `bigint` beyond 2^53), a Python float is a `PythonFloat`, a dict is a `Map`: that
 * keeps `2` and `2.0` apart, seeds up to 2^64-1 exact, and keys in the order in which they were sent.
 */
export type PythonValue =
  null | boolean | number | bigint | string | PythonFloat | PythonValue[] | Map<string, PythonValue>;

export type PythonDict = Map<string, PythonValue>;

export class PythonFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** An exception of the simulated Python process: `type` is what the server reports as `exception_type`. */
export class PythonError extends Error {
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.name = "PythonError";
    this.type = type;
  }
}

export function isDict(value: unknown): value is PythonDict {
  return value instanceof Map;
}

/** The name that Python's own messages use for the type of a value. */
export function pythonTypeName(value: PythonValue): string {
  if (value === null) return "NoneType";
  if (value instanceof PythonFloat) return "float";
  if (Array.isArray(value)) return "list";
  if (isDict(value)) return "dict";
  if (typeof value === "boolean") return "bool";
  return typeof value === "string" ? "str" : "int";
}

/** `repr()` of a float: the shortest text that reads back, always recognisable as a float. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
    const [digits = "", exponent = "0"] = value.toExponential().split("e");
    const sign = exponent.startsWith("-") ? "-" : "+";
    return `${digits}e${sign}${exponent.replace(/^[+-]/, "").padStart(2, "0")}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** `repr()` of a value, as Python shows it inside lists and f-strings. */
export function pythonRepr(value: PythonValue): string {
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.map(pythonRepr).join(", ")}]`;
  if (isDict(value)) {
    return `{${[...value].map(([key, item]) => `${quoted(key)}: ${pythonRepr(item)}`).join(", ")}}`;
  }
  return pythonText(value);
}

/** `str()` of a value. */
export function pythonText(value: PythonValue): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (value instanceof PythonFloat) return floatRepr(value.value);
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return pythonRepr(value);
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll(quote, `\\${quote}`)
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return `${quote}${escaped}${quote}`;
}

/** `bool()` of a value: whether Python treats it as true. */
export function isTruthy(value: PythonValue | undefined): boolean {
  if (value === undefined || value === null) return false;
  if (value instanceof PythonFloat) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (isDict(value)) return value.size > 0;
  return Boolean(value);
}

/** Raised by Python wherever a list or dict is used as a key. */
export function assertHashable(value: PythonValue): void {
  if (Array.isArray(value) || isDict(value)) {
    throw new PythonError("TypeError", `unhashable type: '${pythonTypeName(value)}'`);
  }
}

/** Numbers (and booleans, which are ints to Python) as something JavaScript can compare; undefined for the rest. */
export function comparable(value: PythonValue): number | bigint | undefined {
  if (value instanceof PythonFloat) return value.value;
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return undefined;
}

/** `int(value)`. @throws PythonError with Python's own message */
export function toPythonInt(value: PythonValue): number | bigint {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (value instanceof PythonFloat) {
    if (Number.isNaN(value.value)) throw new PythonError("ValueError", "cannot convert float NaN to integer");
    if (!Number.isFinite(value.value)) {
      throw new PythonError("OverflowError", "cannot convert float infinity to integer");
    }
    return narrow(BigInt(Math.trunc(value.value)));
  }
  if (typeof value === "string") {
    // Python reads the digits of other scripts as well; the full-width ones are what keyboards produce.
    const digits = /^\s*([+-]?\d+(?:_\d+)*)\s*$/.exec(value.normalize("NFKC"))?.[1];
    if (digits === undefined) {
      throw new PythonError("ValueError", `invalid literal for int() with base 10: ${quoted(value)}`);
    }
    return narrow(BigInt(digits.replaceAll("_", "").replace(/^\+/, "")));
  }
  throw new PythonError(
    "TypeError",
    `int() argument must be a string, a bytes-like object or a real number, not '${pythonTypeName(value)}'`,
  );
}

/** `float(value)`. @throws PythonError with Python's own message */
export function toPythonFloat(value: PythonValue): PythonFloat {
  if (value instanceof PythonFloat) return value;
  const number = comparable(value);
  if (number !== undefined) return new PythonFloat(Number(number));
  if (typeof value === "string") {
    const parsed = parseFloatText(value.trim().toLowerCase());
    if (parsed !== undefined) return new PythonFloat(parsed);
    throw new PythonError("ValueError", `could not convert string to float: ${quoted(value)}`);
  }
  throw new PythonError(
    "TypeError",
    `float() argument must be a string or a real number, not '${pythonTypeName(value)}'`,
  );
}

function parseFloatText(text: string): number | undefined {
  if (/^[+-]?nan$/.test(text)) return Number.NaN;
  const infinite = /^([+-]?)inf(inity)?$/.exec(text);
  if (infinite) return infinite[1] === "-" ? -Infinity : Infinity;
  const plain = text.replace(/(\d)_(?=\d)/g, "$1");
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(plain) ? Number(plain) : undefined;
}

/** The smallest JavaScript type that holds an integer exactly. */
export function narrow(value: bigint): number | bigint {
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}
