import { isObject, numberOf } from "@genga/comfyui";
import {
  InvalidJobError,
  type JobProblem,
  type StoredTemplate,
  type TemplateFinder,
  type TemplateReference,
  type TemplateVersionName,
  type Upload,
  type UploadFinder,
} from "@genga/jobs";
import {
  defaultUploadsOf,
  isBuiltInTemplate,
  parametersOfType,
  parseDefinition,
  problemsOf,
  templateNamePattern,
  type TemplateDefinition,
} from "@genga/workflows";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import { addSize, sizeOf, type ValueSize } from "./value-size.ts";

/** One request may name so many versions of templates, with so many characters in all of them. */
const [referencesMax, charactersMax] = [50, 8_000_000];
/** Images among the values of one request. */
const uploadsMax = 50_000;
/** At most this many ids in one statement. */
const idsAtOnce = 5_000;

const name = z.string().regex(templateNamePattern, { error: "is not a template's name" });

/** How a submission names a template. */
export const templateReferenceSchema = z
  .union([name, z.strictObject({ name, version: z.int().min(1).max(2_147_483_647).optional() })], {
    error: 'must be the name of a template, or {"name": …, "version": …}',
  })
  .describe("The name of a template, for its latest version; or {name, version}.");

/** A template that jobs can be made of. */
export interface UsableTemplate {
  version: TemplateVersionName;
  /** `null` = a built-in one, whose values are the parameters of jobs of its type. */
  definition: TemplateDefinition | null;
  /** Of its graph. */
  size: ValueSize;
}

/** What a value adds to the graph of a template: it takes the place of another one in each of its parameter's targets. */
export function sizeInGraph({ definition }: UsableTemplate, parameter: string, value: unknown): ValueSize {
  const parameters = definition?.parameters ?? {};
  const targets = Object.hasOwn(parameters, parameter) ? (parameters[parameter]?.targets.length ?? 0) : 0;
  const { values, characters } = sizeOf(value);
  return { values: (values - 1) * targets, characters: characters * targets };
}

/** What the values of a job add to the graph of its template; defaults where none is given. */
export function sizeOfValues(template: UsableTemplate, values: unknown): ValueSize {
  const all = { values: 0, characters: 0 };
  for (const [parameter, { default: usual }] of Object.entries(template.definition?.parameters ?? {})) {
    const given = isObject(values) && Object.hasOwn(values, parameter) ? values[parameter] : usual;
    if (given !== undefined) addSize(all, sizeInGraph(template, parameter, given), 1);
  }
  return all;
}

/** The templates that one request names, each read once, and the uploads that its values name. */
export class RequestTemplates {
  readonly #templates: ReadonlyMap<string, UsableTemplate | JobProblem>;
  readonly uploads: ReadonlyMap<string, Upload>;

  constructor(
    templates: ReadonlyMap<string, UsableTemplate | JobProblem> = new Map(),
    uploads: ReadonlyMap<string, Upload> = new Map(),
  ) {
    this.#templates = templates;
    this.uploads = uploads;
  }

  /** @param given the member `template` of a submission */
  find(given: unknown): { template: UsableTemplate } | { problem: JobProblem } {
    const read = readReference(given);
    if ("problem" in read) return read;
    const found = builtIn(read.reference) ?? this.#templates.get(keyOf(read.reference));
    if (found === undefined) return { problem: unknown(read.reference) };
    return "definition" in found ? { template: found } : { problem: found };
  }
}

/**
 * Reads the templates that a body names: one statement for all of them, and one more if their values may name images.
 * @throws InvalidJobError when they are too many @throws StoreUnavailableError
 */
export async function findRequestTemplates(
  body: unknown,
  kind: "job" | "batch",
  { templates, uploads, tenantId }: { templates: TemplateFinder; uploads: UploadFinder; tenantId: string },
): Promise<RequestTemplates> {
  const jobs = jobsIn(body, kind);
  const references = new Map<string, TemplateReference>();
  for (const job of jobs) {
    if (!Object.hasOwn(job, "template")) continue;
    const read = readReference(job["template"]);
    if ("problem" in read || builtIn(read.reference) !== undefined) continue;
    references.set(keyOf(read.reference), read.reference);
    if (references.size > referencesMax) throw tooMany(`more than ${referencesMax} templates`);
  }
  if (references.size === 0) return new RequestTemplates();
  const stored = await templates.findTemplates(tenantId, [...references.values()]);
  if (stored.reduce((sum, { definition }) => sum + definition.length, 0) > charactersMax)
    throw tooMany(`templates with more than ${charactersMax} characters in all`);
  const found = new Map([...references].map(([key, reference]) => [key, usable(reference, stored)] as const));
  return new RequestTemplates(found, await namedUploads(body, kind, { found, uploads, tenantId }));
}

function usable(
  reference: TemplateReference,
  stored: readonly StoredTemplate[],
): UsableTemplate | JobProblem {
  const { name: wanted, version } = reference;
  const row = stored.find((each) => each.name === wanted && each.version === (version ?? each.latestVersion));
  if (row?.archivedAt !== null) return unknown(reference, row);
  const definition = parseDefinition(row.definition);
  return { version: { name: row.name, version: row.version }, definition, size: sizeOf(definition.workflow) };
}

function builtIn({ name: wanted, version = 1 }: TemplateReference): UsableTemplate | undefined {
  if (!isBuiltInTemplate(wanted) || version !== 1) return undefined;
  return { version: { name: wanted, version }, definition: null, size: { values: 0, characters: 0 } };
}

function readReference(given: unknown): { reference: TemplateReference } | { problem: JobProblem } {
  const plain = isObject(given)
    ? Object.fromEntries(Object.entries(given).map(([member, value]) => [member, numberOf(value) ?? value]))
    : given;
  const parsed = templateReferenceSchema.safeParse(plain);
  if (parsed.success)
    return { reference: typeof parsed.data === "string" ? { name: parsed.data } : parsed.data };
  const [problem] = problemsOf(parsed.error, templateReferenceSchema, plain, "template");
  return {
    problem: problem ?? { path: "template", code: "invalid-value", message: "template is not valid." },
  };
}

function keyOf({ name: wanted, version }: TemplateReference): string {
  return `${wanted} ${version ?? ""}`;
}

function unknown({ name: wanted, version }: TemplateReference, archived?: StoredTemplate): JobProblem {
  const what = version === undefined ? `template ${wanted}` : `version ${version} of a template ${wanted}`;
  const message =
    archived === undefined
      ? `template: there is no ${what}; GET /api/anime/templates lists those that there are.`
      : `template: the template ${wanted} was archived and takes no new jobs.`;
  return { path: "template", code: "unknown-template", message, received: wanted };
}

function tooMany(what: string): InvalidJobError {
  const message = `The request names ${what}; split it.`;
  return new InvalidJobError([{ path: "template", code: "out-of-bounds", message }]);
}

function jobsIn(body: unknown, kind: "job" | "batch"): Record<string, unknown>[] {
  if (!isObject(body)) return [];
  if (kind === "job") return [body];
  const { jobs, sweep } = body;
  const listed: unknown[] = Array.isArray(jobs) ? jobs : [];
  return [...listed, isObject(sweep) ? sweep["base"] : undefined].filter(isObject);
}

/** Looks up the uploads that values and defaults may name. A prompt that looks like an id is looked up in vain. */
async function namedUploads(
  body: unknown,
  kind: "job" | "batch",
  parts: {
    found: ReadonlyMap<string, UsableTemplate | JobProblem>;
    uploads: UploadFinder;
    tenantId: string;
  },
): Promise<Map<string, Upload>> {
  const ids = new Set<string>();
  for (const each of parts.found.values()) {
    const definition = "definition" in each ? each.definition : null;
    if (definition === null || parametersOfType(definition, "image").length === 0) continue;
    for (const id of defaultUploadsOf(definition)) ids.add(id);
    if (ids.size === 0) ids.add("");
  }
  if (ids.size === 0) return new Map();
  ids.delete("");
  for (const value of valuesIn(body, kind)) {
    if (typeof value === "string" && isUuid(value)) ids.add(value.toLowerCase());
    if (ids.size > uploadsMax) throw tooMany(`more than ${uploadsMax} images`);
  }
  const known = new Map<string, Upload>();
  const all = [...ids];
  for (let start = 0; start < all.length; start += idsAtOnce) {
    const part = await parts.uploads.findUploads(parts.tenantId, all.slice(start, start + idsAtOnce));
    for (const upload of part) known.set(upload.id, upload);
  }
  return known;
}

function* valuesIn(body: unknown, kind: "job" | "batch"): Generator {
  for (const { values } of jobsIn(body, kind)) if (isObject(values)) yield* Object.values(values);
  const sweep = isObject(body) && kind === "batch" ? body["sweep"] : undefined;
  const lists = isObject(sweep) ? sweep["values"] : undefined;
  for (const list of isObject(lists) ? Object.values(lists) : []) if (Array.isArray(list)) yield* list;
}
