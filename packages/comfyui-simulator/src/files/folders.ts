import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { mediaTypeOf } from "./media-types.ts";

export type FolderType = "input" | "output" | "temp";

/** The three folders that the server reads and writes, and the rules about what a name in them may be. */
export class Folders {
  readonly input: string;
  readonly output: string;
  readonly temp: string;

  constructor(dataDir: string, outputDir: string) {
    this.input = path.join(dataDir, "input");
    this.output = outputDir;
    this.temp = path.join(dataDir, "temp");
  }

  /** Empties `temp`, as a start of the server does; the other folders stay (PROTOCOL 0.3). */
  prepare(): void {
    rmSync(this.temp, { recursive: true, force: true });
    for (const folder of [this.input, this.output, this.temp]) mkdirSync(folder, { recursive: true });
  }

  ofType(type: string): string | undefined {
    return type === "input" || type === "output" || type === "temp" ? this[type] : undefined;
  }

  /** Splits a name such as `a.png [input]`. */
  annotated(name: string): { name: string; folder: string | undefined } {
    for (const type of ["output", "input", "temp"] as const) {
      const mark = `[${type}]`;
      if (name.endsWith(mark)) return { name: name.slice(0, -mark.length - 1), folder: this[type] };
    }
    return { name, folder: undefined };
  }

  /** The path of a file that a node refers to by an annotated name; without a mark it is an input. */
  annotatedPath(annotatedName: string): string {
    const { name, folder } = this.annotated(annotatedName);
    return path.join(folder ?? this.input, name);
  }

  /** Files directly in the input folder whose type is one of those. */
  inputFiles(kind: "image" | "video" | "audio" | "any"): string[] {
    return readdirSync(this.input, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .filter((name) => kind === "any" || mediaTypeOf(name).startsWith(`${kind}/`))
      .sort();
  }
}

/** Whether `inner` is `folder` or lies in it. */
export function isWithin(folder: string, inner: string): boolean {
  const relative = path.relative(folder, inner);
  const isAbove = relative === ".." || relative.startsWith(`..${path.sep}`);
  return !isAbove && !path.isAbsolute(relative);
}

export function isFile(file: string): boolean {
  return existsSync(file) && statSync(file).isFile();
}
