import { extname } from "node:path";
import { type JobDetail, type Output } from "@genga/client";
import filenamify from "filenamify";
import mime from "mime";
import { UsageError } from "../terminal/exit-codes.ts";

/** The fields of a template for names, and what each stands for. */
export const nameFields = {
  project: "the project of the job",
  scene: "its scene",
  shot: "its shot",
  job: "its id",
  index: "its place in its batch, from 0000",
  type: "image, video or workflow",
  model: "its main model",
  prompt: "the beginning of its prompt",
  attempt: "the attempt that made the file",
  node: "the id of the node that made the file",
  output: "the place of the file among the job's outputs, from 00",
  name: "the file's own name, without its extension",
  ext: "the file's extension, which follows from its content",
} as const;
type NameField = keyof typeof nameFields;

export const defaultNames = "{job}/{output}-{name}.{ext}";

/** Of a folder or a file; file systems take 255, and a number and `.part` come behind it. */
const segmentBytesMax = 180;

/** A template for the names of files, with folders. */
export class NameTemplate {
  readonly #segments: readonly string[];

  /** @throws UsageError */
  constructor(template: string) {
    this.#segments = template.split("/");
    for (const segment of this.#segments) {
      if (/^[.\s]*$/.test(segment))
        throw new UsageError(`--names ${template} has an empty part, or one of dots.`);
      for (const [, field = ""] of segment.matchAll(/\{([^{}]*)\}/g))
        if (!Object.hasOwn(nameFields, field))
          throw new UsageError(`--names has {${field}}; there are ${Object.keys(nameFields).join(", ")}.`);
    }
  }

  /**
   * The place of a file below the folder that is downloaded to. What stands in a field makes no folders, and no name leads out of the
   * folder, whatever prompts and files are called.
   */
  pathOf(job: JobDetail, output: Output): string {
    const values = valuesOf(job, output);
    const segments = this.#segments.map((segment) =>
      safeSegment(segment.replaceAll(/\{(\w+)\}/g, (_found, field: NameField) => values[field])),
    );
    return segments.join("/");
  }
}

function valuesOf(job: JobDetail, output: Output): Record<NameField, string> {
  const values: Record<NameField, string | null> = {
    ...{ project: job.project, scene: job.scene, shot: job.shot, job: job.id, type: job.type },
    index: String(job.batchIndex ?? 0).padStart(4, "0"),
    model: job.model?.replace(/^.*[/\\]/, "").replace(/\.\w+$/, "") ?? null,
    prompt: job.prompt === null ? null : Array.from(job.prompt).slice(0, 40).join(""),
    attempt: String(output.attempt),
    node: output.nodeId,
    output: String(output.index).padStart(2, "0"),
    name: output.filename === null ? "text" : output.filename.replace(/\.[^.]*$/, ""),
    ext: extensionOf(output),
  };
  return Object.fromEntries(
    Object.entries(values).map(([field, value]) => {
      const text = (value ?? "").replaceAll(/[/\\\p{Cc}\p{Cf}]/gu, "_");
      return [field, /^[.\s]*$/.test(text) ? `no-${field}` : text];
    }),
  ) as Record<NameField, string>;
}

/** A name that every system takes, and that is not too long in bytes; its extension stays. */
function safeSegment(filled: string): string {
  const name = filenamify(filled, { replacement: "_", maxLength: Number.MAX_SAFE_INTEGER });
  const extension = extensionIn(name);
  const stem = name.slice(0, name.length - extension.length);
  const room = new Uint8Array(segmentBytesMax - extension.length);
  const { read } = new TextEncoder().encodeInto(stem, room);
  return (stem.slice(0, read).trimEnd() || "_") + extension;
}

/** With its dot. What follows a dot in a sentence is no extension. */
function extensionIn(path: string): string {
  return /(?<=[^/])\.[A-Za-z0-9]{1,16}$/.exec(path)?.[0] ?? "";
}

function extensionOf({ mediaType, filename }: Output): string {
  return mime.getExtension(mediaType) ?? (extname(filename ?? "").slice(1) || "bin");
}

/** A path for each number: `a.png`, `a (2).png`, … */
export function numbered(path: string, count: number): string {
  const extension = extensionIn(path);
  return count === 1 ? path : `${path.slice(0, path.length - extension.length)} (${count})${extension}`;
}

/** Paths that other systems take for the same are the same. */
export function folded(path: string): string {
  return path.normalize("NFC").toLowerCase();
}
