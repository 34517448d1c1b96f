import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { addAbortSignal } from "node:stream";
import { buffer as bufferOf } from "node:stream/consumers";
import { UsageError } from "../terminal/exit-codes.ts";

// Bodies are put together as text, so that a seed of 20 digits, or 1.0, arrives at the API as somebody wrote it.

/** JSON in the very words of whoever wrote it. */
export type JsonText = string;

/** @param fields absent ones are left out */
export function objectText(fields: Readonly<Record<string, JsonText | undefined>>): JsonText {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  return `{${known.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

export function arrayText(values: readonly JsonText[]): JsonText {
  return `[${values.join(",")}]`;
}

/** What stands behind `name=`: JSON where it is JSON (`30`, `true`, `["a"]`), else a text. */
export function valueText(value: string): JsonText {
  try {
    JSON.parse(value);
    return value;
  } catch {
    return JSON.stringify(value);
  }
}

/** @throws UsageError naming the place of the mistake */
export function checkedJson(text: string, from: string): JsonText {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new UsageError(`${from} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A file's text, or that of standard input for `-`. @throws UsageError, also where it would not arrive as it was written */
export async function readText(path: string, signal: AbortSignal): Promise<string> {
  const bytes = await (path === "-" ? bufferOf(addAbortSignal(signal, process.stdin)) : readBytes(path));
  if (isUtf8(bytes)) return bytes.toString().replace(/^\uFEFF/, "");
  const lines = bytes.toString("latin1").split("\n");
  const at = lines.findIndex((line) => !isUtf8(Buffer.from(line, "latin1")));
  throw new UsageError(`line ${at + 1} of ${path} is not UTF-8.`);
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A job a line; empty lines are passed over. @throws UsageError naming the line */
export function jsonLines(text: string, from: string): JsonText[] {
  return text.split("\n").flatMap((line, at) => {
    const trimmed = line.trim();
    return trimmed === "" ? [] : [checkedJson(trimmed, `line ${at + 1} of ${from}`)];
  });
}
