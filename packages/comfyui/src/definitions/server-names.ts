import { isFilenamePrefix } from "./submission.ts";
import { linkOf, type WorkflowNode } from "../graph/workflow.ts";

/** A file's name without its counter, which whoever stores the file gives anew. */
export interface UncountedName {
  subfolder: string;
  /** What comes before the counter: `ComfyUI` of `ComfyUI_00001_.png`. */
  stem: string;
  /** What comes after it: `_.png`. */
  ending: string;
}

/** Parts of names that no file system takes, or that make a statement's index too large, are cut. */
const stemMax = 200;
const endingMax = 40;
const subfolderMax = 400;
const counted = /^(?<stem>.*)_\d{5,9}(?<ending>_?\.[^.]*)$/s;

/**
 * How one server would name a file of this node, apart from the counter: the folder is that of the prefix in the client's graph,
 * since Genga gives each attempt a prefix of its own.
 * @param filename as the output is stored
 */
export function uncountedName(filename: string, node: WorkflowNode | undefined): UncountedName {
  const match = counted.exec(filename)?.groups;
  const dot = filename.lastIndexOf(".");
  const {
    stem = dot <= 0 ? filename : filename.slice(0, dot),
    ending = dot <= 0 ? "_" : `_${filename.slice(dot)}`,
  } = match ?? {};
  return { subfolder: folderOf(node), stem: stem.slice(0, stemMax), ending: ending.slice(0, endingMax) };
}

function folderOf(node: WorkflowNode | undefined): string {
  const prefixes = Object.entries(node?.inputs ?? {}).flatMap(([name, value]) =>
    isFilenamePrefix(name) && typeof value === "string" && linkOf(value) === undefined ? [value] : [],
  );
  const parts = (prefixes[0] ?? "").split(/[/\\]/).slice(0, -1);
  const kept = parts
    .map((part) => part.trim())
    .filter((part) => part !== "" && part !== "." && part !== "..");
  return kept.join("/").slice(0, subfolderMax);
}
