import { posix } from "node:path";
import { type DoorFileName, type DoorFileType, type JobOutput } from "@genga/jobs";

/** Longer names, and deeper folders, are those of no file. */
const nameMax = 255;
const subfolderMax = 400;

/** Whether a name can be that of a file: a plain name without folders. */
export function isFileName(name: string): boolean {
  return name !== "" && name.length <= nameMax && !/[/\\\0]/.test(name) && name !== "." && name !== "..";
}

/**
 * A folder below that of a type, as it is stored; `undefined` = it leads out of the type's folder, or is the name of none.
 */
export function readSubfolder(subfolder: string): string | undefined {
  if (subfolder.length > subfolderMax || subfolder.includes("\0") || subfolder.startsWith("/"))
    return undefined;
  const normal = posix.normalize(subfolder.replaceAll("\\", "/")).replace(/\/+$/, "");
  if (normal === "." || normal === "") return "";
  return normal.split("/").includes("..") ? undefined : normal;
}

/** Takes the mark of a folder from a name: `x.png [input]`. */
export function splitAnnotation(name: string): { name: string; type: DoorFileType | undefined } {
  const { plain, type } = /^(?<plain>.*?) \[(?<type>input|output|temp)\]$/s.exec(name)?.groups ?? {};
  return plain === undefined ? { name, type: undefined } : { name: plain, type: type as DoorFileType };
}

/** The file that an input of a loader names: `folder/x.png [output]`. */
export function readFileValue(value: string): DoorFileName | undefined {
  const { name: path, type = "input" } = splitAnnotation(value);
  const cut = path.lastIndexOf("/");
  const subfolder = readSubfolder(path.slice(0, Math.max(cut, 0)));
  const name = path.slice(cut + 1);
  return subfolder === undefined || !isFileName(name) ? undefined : { type, subfolder, name };
}

/** Which of the job's outputs a name stands for (`doorFileSource`). */
export function outputOfSource(outputs: readonly JobOutput[], source: string): JobOutput | undefined {
  const [nodeId, key, place] = JSON.parse(source) as [string, string, number];
  const ofKey = outputs.filter((output) => output.nodeId === nodeId && output.key === key);
  return ofKey.toSorted((one, other) => one.index - other.index)[place];
}
