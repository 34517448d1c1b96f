import { ExactNumber } from "../json/exact-json.ts";
import { isObject } from "../json/is-object.ts";

/** Texts longer than this are refused by Python's `int()`. */
const digitsMax = 4_300;
const pythonInt = /^\s*[+-]?\d+(_\d+)*\s*$/;
// A second run of digits is allowed only after a point. Otherwise the regular expression would try every split of a
// long run of digits, and one request could block the process.
const pythonFloat = /^\s*[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?\s*$/i;
const pythonNotFinite = /^\s*[+-]?(nan|inf|infinity)\s*$/i;

/** `int(value)` in Python: fractions are cut off, texts of digits are parsed, and truth values count as 1 and 0. */
export function toPythonInt(value: unknown): bigint | undefined {
  if (value instanceof ExactNumber && !value.isFloat) return value.toBigInt();
  const number = value instanceof ExactNumber ? value.toNumber() : value;
  if (typeof number === "number") return Number.isFinite(number) ? BigInt(Math.trunc(number)) : undefined;
  if (typeof number === "boolean") return number ? 1n : 0n;
  if (typeof number !== "string" || number.length > digitsMax || !pythonInt.test(number)) return undefined;
  const digits = number.trim().replaceAll("_", "");
  return digits.startsWith("-") ? -BigInt(digits.slice(1)) : BigInt(digits.replace("+", ""));
}

/** `float(value)` in Python; not finite for `"nan"`, `"inf"` and numbers beyond its range. */
export function toPythonFloat(value: unknown): number | undefined {
  if (value instanceof ExactNumber) return value.toNumber();
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  if (typeof value !== "string") return undefined;
  if (pythonNotFinite.test(value)) return Number.NaN;
  return pythonFloat.test(value) ? Number(value.replaceAll("_", "")) : undefined;
}

/** A value that Python compares with numbers as it is: numbers and truth values. */
export function toComparable(value: unknown): number | bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value === "boolean") return Number(value);
  if (!(value instanceof ExactNumber)) return undefined;
  return value.isFloat ? value.toNumber() : value.toBigInt();
}

/** `str(value)` in Python, roughly: for a message to a person. */
export function toPythonText(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value instanceof ExactNumber) return value.text;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** `bool(value)` in Python: empty lists and objects are false, too. */
export function isTruthyInPython(value: unknown): boolean {
  if (value instanceof ExactNumber) return value.toNumber() !== 0;
  if (Array.isArray(value)) return value.length > 0;
  return isObject(value) ? Object.keys(value).length > 0 : Boolean(value);
}

/** `one == other` in Python, where 1, 1.0 and True are equal, and a text never equals a number. */
export function isEqualInPython(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  const [number, otherNumber] = [toComparable(one), toComparable(other)];
  if (number !== undefined && otherNumber !== undefined) {
    // A loose comparison is the mathematical one between a bigint and a number.
    return number <= otherNumber && number >= otherNumber;
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => isEqualInPython(item, other[index]));
  }
  if (!isObject(one) || !isObject(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isEqualInPython(one[key], other[key]))
  );
}
