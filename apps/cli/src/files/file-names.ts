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
  prompt: "the begin of its prompt",
  attempt: "the attempt that made the file",
  node: "the id of the node that made the file",
  output: "the place of the file among the job's outputs, from 00",
  name: "the file's own name, without its extension",
  ext: "the file's extension, which follows from its content",
} as const;
type NameField = keyof typeof nameFields;

export const defaultNames = "{job}/{output}-{name}.{ext}";

/**
 * The place of a file below the folder that is downloaded to. What stands in a field makes no folders, and no name leads out of the
 * folder, whatever prompts and files are called.
 * @throws UsageError for a template that cannot be used
 */
export function pathOf(template: string, job: JobDetail, output: Output): string {
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
  const segments = template.split("/").map((segment) => {
    const filled = segment.replaceAll(/\{(\w*)\}/g, (_found, field: string) => {
      if (!Object.hasOwn(values, field))
        throw new UsageError(`--names has {${field}}; there are ${Object.keys(nameFields).join(", ")}.`);
      return safeSegment(values[field as NameField] ?? `no-${field}`);
    });
    if (/^\.*$/.test(filled.trim()))
      throw new UsageError(`--names ${template} has an empty part, or one of dots.`);
    return filenamify(filled, { replacement: "_", maxLength: 120 });
  });
  return segments.join("/");
}

function safeSegment(value: string): string {
  return value.replaceAll(/[/\\\p{Cc}\p{Cf}]/gu, "_");
}

function extensionOf({ mediaType, filename }: Output): string {
  return mime.getExtension(mediaType) ?? (extname(filename ?? "").slice(1) || "bin");
}

/** Gives each file a path of its own: names that other systems take for the same are numbered. */
export class DistinctPaths {
  readonly #taken = new Set<string>();

  take(path: string): string {
    const extension = extname(path);
    const stem = path.slice(0, path.length - extension.length);
    for (let count = 1; ; count += 1) {
      const each = count === 1 ? path : `${stem} (${count})${extension}`;
      const folded = each.normalize("NFC").toLowerCase();
      if (this.#taken.has(folded)) continue;
      this.#taken.add(folded);
      return each;
    }
  }
}
