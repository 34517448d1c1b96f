import { readdirSync, readFileSync } from "node:fs";

/** The ComfyUI versions that were recorded: 0.3.64, and 0.28.0. */
export type RecordedVersion = "0.3.64" | "0.28";

type Kind = "transcripts" | "object-info" | "workflows";

/**
 * One recorded session with a real server, as JSON text. Text, because `JSON.parse` would round seeds beyond 2^53 and
 * lose the difference between `1` and `1.0`, and because some replies of a Python server are not strict JSON.
 * @param name a name that `transcriptNames` lists, e.g. `02-success`
 */
export function transcript(version: RecordedVersion, name: string): string {
  return textOf(version, "transcripts", name);
}

export function transcriptNames(version: RecordedVersion): string[] {
  return namesIn(version, "transcripts");
}

/**
 * A part of a real server's answer to `GET /object_info`, as JSON text: an object whose keys are class names.
 * @param name a name that `objectInfoNames` lists, e.g. `core`
 */
export function objectInfo(version: RecordedVersion, name: string): string {
  return textOf(version, "object-info", name);
}

export function objectInfoNames(version: RecordedVersion): string[] {
  return namesIn(version, "object-info");
}

/**
 * A graph that was sent to a real server, as JSON text.
 * @param name a name that `workflowNames` lists, e.g. `sd15-image` or `rejected/missing-checkpoint`
 */
export function workflow(version: RecordedVersion, name: string): string {
  return textOf(version, "workflows", name);
}

/**
 * The names of the recorded graphs. Graphs without a folder in their name ran to their end; the folders `rejected/` and
 * `fails-at-run-time/` say how the others ended.
 */
export function workflowNames(version: RecordedVersion): string[] {
  return namesIn(version, "workflows");
}

function textOf(version: RecordedVersion, kind: Kind, name: string): string {
  return readFileSync(new URL(`${name}.json`, folderOf(version, kind)), "utf8");
}

function namesIn(version: RecordedVersion, kind: Kind): string[] {
  return readdirSync(folderOf(version, kind), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.replaceAll("\\", "/").slice(0, -".json".length))
    .sort();
}

function folderOf(version: RecordedVersion, kind: Kind): URL {
  return new URL(`../${version}/${kind}/`, import.meta.url);
}
