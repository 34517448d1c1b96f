import { statSync } from "node:fs";
import { isDict, type PythonValue } from "../python/python-values.ts";
import { type Folders, isFile } from "../files/folders.ts";
import { fileInputOf } from "../validation/file-inputs.ts";

/**
 * A text that changes when the file that a node loads changes. The node's result depends on that file besides its
 * inputs.
 */
export function fingerprintOf(node: PythonValue, folders: Folders): string {
  if (!isDict(node)) return "";
  const className = node.get("class_type");
  const inputs = node.get("inputs");
  const rule = typeof className === "string" ? fileInputOf(className) : undefined;
  if (rule === undefined || !isDict(inputs ?? null)) return "";
  const name = isDict(inputs ?? null) ? (inputs as Map<string, PythonValue>).get(rule.input) : undefined;
  if (typeof name !== "string") return "";
  const file = folders.annotatedPath(name);
  if (!isFile(file)) return "missing";
  const { size, mtimeMs } = statSync(file);
  return `${size} ${mtimeMs}`;
}
