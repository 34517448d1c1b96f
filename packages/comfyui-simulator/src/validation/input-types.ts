import {
  comparable,
  isDict,
  isTruthy,
  PythonError,
  pythonRepr,
  pythonText,
  pythonTypeName,
  toPythonFloat,
  toPythonInt,
  type PythonValue,
} from "../python/python-values.ts";
import { type InputSpec, type NodeClass, type OutputType } from "../nodes/node-catalog.ts";
import { ValidationException } from "./validation-error.ts";

/** The type of a node's output slot; -1 is the last slot. @throws ValidationException for a slot that does not exist */
export function outputType(nodeClass: NodeClass, slot: PythonValue): OutputType {
  const container = nodeClass.isNewStyle ? "list" : "tuple";
  const index = typeof slot === "boolean" ? Number(slot) : slot;
  if (typeof index !== "number") {
    const message = `${container} indices must be integers or slices, not ${pythonTypeName(slot)}`;
    throw new ValidationException("TypeError", message, 790);
  }
  const type = nodeClass.outputs.at(index);
  if (type === undefined) throw new ValidationException("IndexError", `${container} index out of range`, 790);
  return type;
}

/** Types match when they share a name of their comma-separated lists, or one of them is the wildcard. */
export function shareAType(received: string, wanted: string): boolean {
  if (received === wanted) return true;
  const names = (types: string): string[] => types.split(",").map((type) => type.trim());
  const [from, to] = [names(received), names(wanted)];
  return from.includes("*") || to.includes("*") || from.some((type) => to.includes(type));
}

/** Converts a value to the type of the input. @throws PythonError if it cannot be converted */
export function coerce(value: PythonValue, type: InputSpec["type"]): PythonValue {
  switch (type) {
    case "INT":
      return toPythonInt(value);
    case "FLOAT":
      return toPythonFloat(value);
    case "STRING":
      return pythonText(value);
    case "BOOLEAN":
      return isTruthy(value);
    default:
      return value;
  }
}

/** Python's `left < right`. @throws PythonError for values that have no order */
export function lessThan(left: PythonValue, right: PythonValue): boolean {
  const [a, b] = [comparable(left), comparable(right)];
  if (a === undefined || b === undefined) {
    const names = `'${pythonTypeName(left)}' and '${pythonTypeName(right)}'`;
    throw new PythonError("TypeError", `'<' not supported between instances of ${names}`);
  }
  return a < b;
}

/** Python's `==`: 1, 1.0 and True are equal, lists and dicts are compared by content. */
export function pythonEquals(left: PythonValue, right: PythonValue): boolean {
  const [a, b] = [comparable(left), comparable(right)];
  // JavaScript orders a bigint and a float by value, as Python does; `===` would tell them apart by type.
  if (a !== undefined && b !== undefined) return a <= b && b <= a;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, at) => pythonEquals(item, right[at] ?? null));
  }
  if (isDict(left) && isDict(right)) {
    return (
      left.size === right.size &&
      [...left].every(([key, item]) => right.has(key) && pythonEquals(item, right.get(key) ?? null))
    );
  }
  return left === right;
}

/** A type as messages name it. */
export function typeName(type: InputSpec["type"]): string {
  return Array.isArray(type) ? pythonRepr(type) : type;
}
