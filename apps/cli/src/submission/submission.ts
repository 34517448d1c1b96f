import { type GengaClient } from "@genga/client";
import { UsageError } from "../terminal/exit-codes.ts";
import { assignmentsOf, listText, valuesOf } from "./assignments.ts";
import { arrayText, checkedJson, jsonLines, type JsonText, objectText, readText } from "./json-text.ts";
import { uploadOf } from "./upload-file.ts";

/** What `genga submit` was given. */
export interface SubmitOptions {
  readonly type?: string;
  readonly prompt?: string;
  readonly negative?: string;
  readonly param?: readonly string[];
  readonly template?: string;
  readonly value?: readonly string[];
  readonly workflow?: string;
  readonly jobs?: string;
  readonly image?: string;
  readonly mask?: string;
  readonly vary?: readonly string[];
  readonly seeds?: string;
  readonly zip?: boolean;
  readonly name?: string;
  readonly project?: string;
  readonly scene?: string;
  readonly shot?: string;
  readonly tag?: readonly string[];
  readonly requires?: readonly string[];
  readonly priority?: string;
  readonly reuse?: boolean;
  readonly dryRun?: boolean;
}

/** Where files and standard input go, and what ends the wait for them. */
interface Sources {
  readonly client: GengaClient;
  readonly signal: AbortSignal;
}

/** A request that submits: one job, or several as a batch, which are accepted together or not at all. */
export interface Submission {
  readonly path: "/api/anime/generate" | "/api/anime/batches";
  /** The fields of the body. */
  readonly fields: Readonly<Record<string, JsonText | undefined>>;
}

/** @throws UsageError  @throws GengaError if a picture cannot be uploaded */
export async function submissionOf(options: SubmitOptions, { client, signal }: Sources): Promise<Submission> {
  const common = commonFields(options);
  const name = asText(options.name);
  if (options.jobs !== undefined) {
    refuseBeside("--jobs", options, [
      "type",
      "prompt",
      "negative",
      "template",
      "workflow",
      "image",
      "mask",
      "seeds",
      "param",
      "value",
      "vary",
      "zip",
    ]);
    const jobs = jsonLines(await readText(options.jobs, signal), options.jobs);
    if (jobs.length === 0) throw new UsageError(`${options.jobs} has no job in it.`);
    return { path: "/api/anime/batches", fields: { ...common, name, jobs: arrayText(jobs) } };
  }
  const job = await jobFields(options, { client, signal });
  if (options.vary === undefined && options.seeds === undefined) {
    if (name !== undefined) throw new UsageError("--name is that of a batch, and this is a single job.");
    if (options.zip === true)
      throw new UsageError("--zip combines the values of --vary, and there are none.");
    return { path: "/api/anime/generate", fields: { ...job, ...common } };
  }
  return {
    path: "/api/anime/batches",
    fields: { ...common, name, sweep: sweepText(options, objectText(job)) },
  };
}

async function jobFields(
  options: SubmitOptions,
  { client, signal }: Sources,
): Promise<Record<string, JsonText | undefined>> {
  const { workflow, template } = options;
  if (workflow !== undefined) {
    refuseBeside("--workflow", options, ["type", "prompt", "negative", "template", "value", "image", "mask"]);
    const graph = checkedJson(await readText(workflow, signal), workflow);
    return { type: `"workflow"`, workflow: graph, ...valuesOf(assignmentsOf("--param", options.param)) };
  }
  if (template !== undefined) {
    refuseBeside("--template", options, ["type", "negative", "image", "mask"]);
    const values = { ...promptOf(options), ...valuesOf(assignmentsOf("--value", options.value)) };
    return {
      template: JSON.stringify(template),
      values: objectText(values),
      ...valuesOf(assignmentsOf("--param", options.param)),
    };
  }
  if (options.value !== undefined) throw new UsageError("--value is of a template; name it by --template.");
  if (options.prompt === undefined)
    throw new UsageError("what shall be made? Give --prompt, --template, --workflow or --jobs.");
  const sending = { client, signal, isDryRun: options.dryRun === true };
  return {
    type: JSON.stringify(options.type ?? "image"),
    ...promptOf(options),
    negativePrompt: asText(options.negative),
    initImage: await uploadOf(options.image, sending),
    mask: await uploadOf(options.mask, sending),
    ...valuesOf(assignmentsOf("--param", options.param)),
  };
}

function promptOf({ prompt }: SubmitOptions): Record<string, JsonText> {
  return prompt === undefined ? {} : { prompt: JSON.stringify(prompt) };
}

function commonFields(options: SubmitOptions): Record<string, JsonText | undefined> {
  const list = (values: readonly string[] | undefined): JsonText | undefined =>
    values === undefined ? undefined : JSON.stringify(values);
  const fields = {
    project: asText(options.project),
    scene: asText(options.scene),
    shot: asText(options.shot),
    tags: list(options.tag),
    requires: list(options.requires),
    priority: asText(options.priority),
    reuse: options.reuse === true ? "true" : undefined,
  };
  // What is not given must not hide what --param says.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Inputs of a raw graph are varied by `node.input`, values of a template by their names, like parameters. */
function sweepText(options: SubmitOptions, base: JsonText): JsonText {
  const lists = Object.fromEntries(
    [...assignmentsOf("--vary", options.vary)].map(([name, value]) => [name, listText(value)]),
  );
  const where =
    options.workflow !== undefined ? "nodeInputs" : options.template !== undefined ? "values" : "vary";
  return objectText({
    base,
    [where]: options.vary === undefined ? undefined : objectText(lists),
    combine: options.zip === true ? `"zip"` : undefined,
    seeds: seedsText(options.seeds),
  });
}

/** A number of seeds, `from-to`, or a list. @throws UsageError */
function seedsText(seeds: string | undefined): JsonText | undefined {
  if (seeds === undefined) return undefined;
  if (/^[1-9]\d*$/.test(seeds)) return objectText({ count: seeds });
  const [, from, to] = /^(0|[1-9]\d*)-(0|[1-9]\d*)$/.exec(seeds) ?? [];
  if (from !== undefined && to !== undefined) return objectText({ from, to });
  if (/^(0|[1-9]\d*)(,(0|[1-9]\d*))+$/.test(seeds)) return listText(seeds);
  throw new UsageError(`--seeds ${seeds}: write how many, a range (1-8), or a list (7,42,99).`);
}

function asText(value: string | undefined): JsonText | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

function refuseBeside(option: string, options: SubmitOptions, names: readonly (keyof SubmitOptions)[]): void {
  const other = names.find((name) => options[name] !== undefined);
  if (other !== undefined) throw new UsageError(`${option} and --${other} cannot be given together.`);
}

/** Parameters that a rerun changes, as JSON. @throws UsageError */
export function changesText(params: readonly string[]): JsonText | undefined {
  const changes = valuesOf(assignmentsOf("--param", params));
  return params.length === 0 ? undefined : objectText(changes);
}
