import { mkdirSync, readdirSync, rmSync, truncateSync } from "node:fs";
import path from "node:path";
import { type PythonJson, stringifyPythonJson } from "../python/python-json.ts";
import { isDict } from "../python/python-values.ts";
import { isWithin, type FolderType } from "../files/folders.ts";
import { NodeException, type NodeRun } from "./node-run.ts";

/** The place of the next files of a prefix (PROTOCOL 7). */
export interface OutputPlace {
  readonly folder: string;
  readonly name: string;
  readonly counter: number;
  readonly subfolder: string;
  readonly type: FolderType;
}

/**
 * Finds folder, name and counter for a prefix: folders in it become the subfolder, `%width%` and dates are filled in, and
 * the counter is one more than the highest on disk, whatever the extension.
 * @throws NodeException when the prefix leaves the folder, naming absolute paths as the server does
 */
export function placeFor(
  run: NodeRun,
  prefix: string,
  type: FolderType,
  size: { width: number; height: number } = { width: 0, height: 0 },
): OutputPlace {
  const base = run.folders[type];
  const normal = path.normalize(filledIn(prefix, size));
  const subfolder = path.dirname(normal) === "." ? "" : path.dirname(normal);
  const name = path.basename(normal);
  const folder = path.resolve(base, subfolder);
  if (!isWithin(base, folder)) {
    const common = commonPath(base, folder);
    throw new NodeException(
      "Exception",
      "**** ERROR: Saving image outside the output folder is not allowed." +
        `\n full_output_folder: ${folder}\n         output_dir: ${base}\n         commonpath: ${common}`,
      ['folder_paths.py", line 397, in get_save_image_path'],
    );
  }
  mkdirSync(folder, { recursive: true });
  return { folder, name, counter: highestCounter(folder, name) + 1, subfolder, type };
}

/** Like `placeFor`, but counts only names such as `x_00001.mp4`, without an underscore after the number. */
export function suitePlaceFor(run: NodeRun, prefix: string, type: FolderType): OutputPlace {
  const place = placeFor(run, prefix, type);
  const pattern = new RegExp(`^${escaped(place.name)}_(\\d+)\\D*\\..+$`, "i");
  const numbers = readdirSync(place.folder).map((file) => Number(pattern.exec(file)?.[1] ?? 0));
  return { ...place, counter: Math.max(0, ...numbers) + 1 };
}

/** An entry of `images`, `gifs` and the like. */
export function fileEntry(place: OutputPlace, filename: string): Record<string, PythonJson> {
  return { filename, subfolder: place.subfolder, type: place.type };
}

export function numbered(counter: number): string {
  return String(counter).padStart(5, "0");
}

/** Damages a saved file if a test requested that fault; the server still reports success. */
export function applyOutputFaults(run: NodeRun, file: string, bytes: number): void {
  if (run.faults.take("missing-output")) rmSync(file, { force: true });
  else if (run.faults.take("empty-output")) truncateSync(file, 0);
  else if (run.faults.take("truncate-output")) truncateSync(file, Math.floor(bytes / 2));
}

/** The texts in saved pictures: the whole graph, and the client's additional texts. */
export function graphTexts(run: NodeRun): Map<string, string> {
  const texts = new Map([["prompt", stringifyPythonJson(run.graph)]]);
  if (isDict(run.extraPngInfo)) {
    for (const [key, value] of run.extraPngInfo) texts.set(key, stringifyPythonJson(value));
  }
  return texts;
}

function highestCounter(folder: string, name: string): number {
  let highest = 0;
  for (const file of readdirSync(folder)) {
    if (file.slice(0, name.length + 1).toLowerCase() !== `${name}_`.toLowerCase()) continue;
    const digits = /^\s*([+-]?\d+)\s*$/.exec(file.slice(name.length + 1).split("_")[0] ?? "")?.[1];
    highest = Math.max(highest, Number(digits ?? 0));
  }
  return highest;
}

function filledIn(prefix: string, size: { width: number; height: number }): string {
  if (!prefix.includes("%")) return prefix;
  const now = new Date();
  const two = (value: number): string => String(value).padStart(2, "0");
  const values: Readonly<Record<string, string>> = {
    "%width%": String(size.width),
    "%height%": String(size.height),
    "%year%": String(now.getFullYear()),
    "%month%": two(now.getMonth() + 1),
    "%day%": two(now.getDate()),
    "%hour%": two(now.getHours()),
    "%minute%": two(now.getMinutes()),
    "%second%": two(now.getSeconds()),
  };
  return Object.entries(values).reduce((text, [mark, value]) => text.replaceAll(mark, value), prefix);
}

function commonPath(one: string, other: string): string {
  const [left, right] = [one.split(path.sep), other.split(path.sep)];
  const shared = left.findIndex((part, index) => part !== right[index]);
  return left.slice(0, shared < 0 ? left.length : shared).join(path.sep) || path.sep;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
