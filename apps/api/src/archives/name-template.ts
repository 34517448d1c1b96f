import { InvalidJobError, type JobOutput, type MadeJob } from "@genga/jobs";
import mime from "mime";
import { folded, safeName, type UniquePaths } from "./safe-names.ts";

/** The fields of a template, and what each stands for. */
export const templateFields = {
  project: "the project of the job",
  scene: "its scene",
  shot: "its shot",
  batch: "the name of its batch, or the batch's id",
  job: "its id",
  index: "its place in its batch, from 0000",
  type: "image, video or workflow",
  seed: "its seed",
  model: "its main model, without the extension",
  prompt: "the begin of its prompt",
  attempt: "the attempt that made the file",
  node: "the id of the node that made the file",
  output: "the place of the file among the job's outputs, from 00",
  name: "the file's own name, without its extension",
  ext: "the file's extension, which follows from its content",
} as const;
type TemplateField = keyof typeof templateFields;

export const defaultTemplate = "{project}/{scene}/{shot}/{index}-{seed}.{ext}";

const templateLengthMax = 300;
const foldersMax = 8;
/** Windows takes paths of 260 characters, with the folder into which somebody unpacks. */
const pathBytesMax = 200;
const promptLengthMax = 40;
/** Room for ` (250000)`. */
const numberBytes = 9;

const part = `[^{}/\\\\]|\\{(?:${Object.keys(templateFields).join("|")})\\}`;
const segment = `\\.*(?:(?!\\.)(?:${part}))(?:${part})*`;
/** What the class below accepts, for the description of the API. */
const templatePattern = `^${segment}(?:/${segment}){0,${foldersMax - 1}}$`;

export const templateShape = { pattern: templatePattern, maxLength: templateLengthMax };

/** The name of the entry that describes all others. */
export const manifestName = "manifest.json";

/** What a file's name may be made of. */
export interface NamedFile {
  job: MadeJob;
  output: Omit<JobOutput, "text">;
  seed: string | null;
  mainModel: string | null;
}

type Part = { readonly text: string } | { readonly field: TemplateField };

/** A template for the names of files, such as `{scene}/{index}-{seed}.{ext}`. */
export class NameTemplate {
  /** One list of parts for each folder, and the last one for the file. */
  readonly #segments: readonly (readonly Part[])[];
  readonly #bytesMax: number;

  /** @throws InvalidJobError with the path `names` */
  constructor(template: string) {
    if (Array.from(template).length > templateLengthMax)
      throw refusal(`is longer than ${templateLengthMax} characters`, template);
    // Half of a surrogate pair cannot stand in a URL.
    if (/\p{Surrogate}/u.test(template)) throw refusal("has half of a surrogate pair", "");
    if (template.includes("\\")) throw refusal("has a backslash; folders are separated by /", template);
    this.#segments = template.split("/").map((segment) => partsOf(segment, template));
    if (this.#segments.length > foldersMax) throw refusal(`has more than ${foldersMax} parts`, template);
    this.#bytesMax = Math.floor(pathBytesMax / this.#segments.length) - 1;
  }

  /**
   * A path for the file that no other one has. What stands in a field cannot make folders, and all paths have as many of
   * them, so that no file has the name of a folder.
   */
  pathOf(file: NamedFile, paths: UniquePaths): string {
    const segments = this.#segments.map((parts) =>
      parts.map((part) => ("text" in part ? part.text : valueOf(part.field, file))).join(""),
    );
    const folders = segments.slice(0, -1).map((segment) => safeName(segment, this.#bytesMax));
    // No folder may have the name of the manifest.
    if (folders[0] !== undefined && folded(folders[0]) === folded(manifestName))
      folders[0] = `_${folders[0]}`;
    const { stem, extension } = splitName(segments.at(-1) ?? "", file);
    const stemBytes = this.#bytesMax - extension.length - numberBytes;
    return paths.take([...folders, safeName(stem, stemBytes)].join("/"), extension);
  }
}

function partsOf(segment: string, template: string): Part[] {
  if (segment === "")
    throw refusal("has an empty part; it must not begin or end with / or have two of them", template);
  if (/^\.+$/.test(segment)) throw refusal(`names the folder ${segment}`, template);
  const parts: Part[] = [];
  for (const [found, name, text] of segment.matchAll(/\{([^{}]*)\}|([^{}]+)|[{}]/g)) {
    if (text !== undefined) parts.push({ text });
    else if (name === undefined) throw refusal(`has a ${found} that belongs to no field`, template);
    else if (isField(name)) parts.push({ field: name });
    else throw unknownField(name);
  }
  return parts;
}

function isField(name: string): name is TemplateField {
  return Object.hasOwn(templateFields, name);
}

function valueOf(field: TemplateField, { job, output, seed, mainModel }: NamedFile): string {
  const value = {
    project: job.project,
    scene: job.scene,
    shot: job.shot,
    batch: job.batchName ?? job.batchId,
    job: job.id,
    index: String(job.batchIndex ?? 0).padStart(4, "0"),
    type: job.type,
    seed,
    model: mainModel?.replace(/^.*[/\\]/, "").replace(/\.\w+$/, "") ?? null,
    prompt: shortened(job.promptText),
    attempt: job.attempt === null ? null : String(job.attempt),
    node: output.nodeId,
    output: String(output.index).padStart(2, "0"),
    name: output.filename?.replace(/\.\w{1,10}$/, "") ?? "text",
    ext: extensionOf(output),
  }[field];
  return value === null || value === "" ? `no-${field}` : value;
}

function shortened(prompt: string): string {
  return prompt.replace(/\s+/gu, " ").trim().slice(0, promptLengthMax).trim();
}

/** The extension of the content's type; a name comes from a server and can say anything. */
function extensionOf({
  kind,
  mediaType,
  filename,
}: Pick<JobOutput, "kind" | "mediaType" | "filename">): string {
  if (kind === "text") return "txt";
  const own = /\.([a-z0-9]{1,10})$/i.exec(filename ?? "")?.[1]?.toLowerCase();
  if (own !== undefined && mime.getType(own) === mediaType) return own;
  const isTold = mediaType !== "application/octet-stream" && mediaType !== "text/plain";
  return (isTold ? mime.getExtension(mediaType) : null) ?? own ?? "bin";
}

/** The extension is what the number of a repeated name stands before. */
function splitName(name: string, { output }: NamedFile): { stem: string; extension: string } {
  const extension = `.${extensionOf(output)}`;
  return name.endsWith(extension) && name !== extension
    ? { stem: name.slice(0, -extension.length), extension }
    : { stem: name, extension: "" };
}

function unknownField(name: string): InvalidJobError {
  const accepted = Object.keys(templateFields);
  const shown = name.slice(0, 50);
  return new InvalidJobError([
    {
      ...{ path: "names", code: "unknown-value", received: shown, accepted },
      message: `names has the unknown field {${shown}}; there are ${accepted.join(", ")}.`,
    },
  ]);
}

function refusal(what: string, received: string): InvalidJobError {
  const problem = { path: "names", code: "invalid-value", message: `names ${what}.` };
  return new InvalidJobError([{ ...problem, received: received.slice(0, 100) }]);
}
