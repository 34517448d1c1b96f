import { transcript, type RecordedVersion } from "@genga/comfyui-recordings";
import { parsePythonJson } from "../../src/python/python-json.ts";
import { isDict, type PythonDict, type PythonValue } from "../../src/python/python-values.ts";

/** One recorded event; see the notes on the recordings' format (PROTOCOL 13). */
export interface RecordedEvent {
  readonly kind: string;
  readonly fields: PythonDict;
}

/** Reads a recording with ints, floats and the order of keys kept. */
export function readRecording(version: RecordedVersion, name: string): RecordedEvent[] {
  const content = parsePythonJson(transcript(version, name));
  const events = isDict(content) ? content.get("events") : undefined;
  if (!Array.isArray(events)) throw new TypeError(`${name} has no events`);
  return events.map((event) => {
    if (!isDict(event)) throw new TypeError("an event is an object");
    return { kind: textAt(event, "kind"), fields: event };
  });
}

export function textAt(fields: PythonDict, key: string): string {
  const value = fields.get(key);
  return typeof value === "string" ? value : "";
}

export function dictAt(fields: PythonDict, key: string): PythonDict {
  const value = fields.get(key);
  return isDict(value ?? null) ? (value as PythonDict) : new Map<string, PythonValue>();
}
