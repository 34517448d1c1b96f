import { isObject } from "@genga/comfyui";
import { InvalidJobError, jobTypes, type JobOptions, type JobProblem, type JobType } from "@genga/jobs";
import { findMisplacedGraph, problemsOf, problemsOfJson, workflowParametersSchema } from "@genga/workflows";
import { z } from "zod";
import { prefix } from "../http/paths.ts";
import { storableText } from "../http/request-values.ts";
import { batchOptionFields, readOptions, withDefaults } from "./job-options.ts";
import { notAnObject, type ReadSubmission } from "./read-submission.ts";
import { RequestTemplates, sizeOfValues } from "./request-templates.ts";
import { readSweep, type Sweep } from "./sweep.ts";
import { readTemplateJob } from "./template-jobs.ts";
import { addSize, isTooLarge, sizeOfAllMax } from "./value-size.ts";

/** The most jobs that one batch may have. */
export const batchJobsMax = 10_000;

export const batchNameSchema = storableText(200).optional().describe("A name for people.");
export const dryRunSchema = z
  .boolean()
  .optional()
  .describe(
    "Only checks the request: all that acceptance checks, also the room in the queue. Nothing is stored.",
  );
const batchShape = z.strictObject({
  name: batchNameSchema,
  dryRun: dryRunSchema,
  ...batchOptionFields,
  jobs: z.array(z.unknown()).min(1).max(batchJobsMax).optional(),
  sweep: z.unknown().optional(),
});

/**
 * Reads `{type, …parameters, …options}`, or `{template, values, …options}`. The resolver judges the parameters later.
 * @param fixedType the type that the path says; the body may repeat it
 * @param ofBatch what its batch says for all jobs; the job's own options come first
 * @param templates those that the request names
 */
export function readSubmission(
  body: unknown,
  {
    fixedType,
    ofBatch = {},
    templates = new RequestTemplates(),
  }: { fixedType?: JobType | undefined; ofBatch?: JobOptions; templates?: RequestTemplates } = {},
): ReadSubmission {
  if (fixedType === undefined && isObject(body) && Object.hasOwn(body, "template"))
    return readTemplateJob(body, { ofBatch, templates });
  const asked = (isObject(body) ? body["type"] : undefined) ?? fixedType;
  const misplaced = findMisplacedGraph(body, {
    readsTexts: asked !== "image" && asked !== "video",
    ...(fixedType === undefined ? {} : { sendTo: `POST ${prefix}/generate` }),
  });
  // All other problems of such a body follow from the wrong place of its graph.
  if (misplaced !== undefined) return { request: undefined, problems: [misplaced] };
  if (!isObject(body)) return { request: undefined, problems: [notAnObject(body)] };
  const { type, ...rest } = body;
  const { options, problems, others: parameters } = withDefaults(readOptions(rest, "job"), ofBatch);
  const known = jobTypes.find((each) => each === (type ?? fixedType));
  if (known === undefined || (fixedType !== undefined && known !== fixedType)) {
    const accepted = fixedType === undefined ? jobTypes : [fixedType];
    return { request: undefined, problems: [unknownType(type, accepted), ...problems] };
  }
  return { request: { type: known, parameters, options }, problems };
}

/** A batch as far as it could be read. */
export interface ReadBatch {
  name: string | null;
  /** What its request says for all jobs. */
  options: JobOptions;
  submissions: ReadSubmission[];
  isDryRun: boolean;
  /** Its jobs are those of this sweep. */
  sweep: Sweep | undefined;
}

/**
 * Reads `{name?, dryRun?, …options, jobs: […]}`, or the same with a `sweep` in place of jobs; paths of problems look like
 * `jobs.3.priority`.
 * @throws InvalidJobError when the body describes no jobs, or its own fields are not valid
 */
export function readBatch(body: unknown, templates = new RequestTemplates()): ReadBatch {
  if (!isObject(body)) throw new InvalidJobError([notAnObject(body)]);
  const { options, problems: ofOptions, others } = readOptions(body, "batch");
  const parsed = batchShape.safeParse(others);
  const ofShape = parsed.success
    ? problemsOfContent(parsed.data)
    : problemsOf(parsed.error, batchShape, others);
  if (!parsed.success || ofOptions.length + ofShape.length > 0) {
    const misplaced = findMisplacedGraph(withoutJobs(body), { sendTo: `POST ${prefix}/generate` });
    if (misplaced !== undefined) throw new InvalidJobError([misplaced]);
    throw new InvalidJobError([...ofOptions, ...ofShape]);
  }
  const { name = null, dryRun: isDryRun = false, jobs = [], sweep: ofSweep } = parsed.data;
  const sweep = ofSweep === undefined ? undefined : readSweep(ofSweep, batchJobsMax, templates);
  if (sweep === undefined) assertSize(jobs, templates);
  const submissionAt = (each: unknown, index: number): ReadSubmission => {
    const { request, problems } = readSubmission(each, { ofBatch: options, templates });
    const at = `jobs.${index}`;
    return {
      request,
      problems: problems.map((problem) => ({
        ...problem,
        path: problem.path === "" ? at : `${at}.${problem.path}`,
      })),
    };
  };
  const submissions =
    sweep === undefined
      ? jobs.map(submissionAt)
      : Array.from({ length: sweep.count }, (_, index) => submissionAt(sweep.jobAt(index), index));
  return { name, options, submissions, isDryRun, sweep };
}

/** A few words may make thousands of large graphs. A sweep is counted where it is read. */
function assertSize(jobs: readonly unknown[], templates: RequestTemplates): void {
  const all = { values: 0, characters: 0 };
  for (const job of jobs) {
    if (!isObject(job) || !Object.hasOwn(job, "template")) continue;
    const found = templates.find(job["template"]);
    if (!("template" in found)) continue;
    addSize(all, found.template.size, 1);
    addSize(all, sizeOfValues(found.template, job["values"]), 1);
  }
  if (!isTooLarge(all)) return;
  const { values, characters } = sizeOfAllMax;
  const message = `The graphs of all jobs have more than ${values} values, or ${characters} characters, together; split the batch.`;
  throw new InvalidJobError([{ path: "jobs", code: "out-of-bounds", message }]);
}

/** A batch has either jobs or a sweep. */
function problemsOfContent({ jobs, sweep }: z.output<typeof batchShape>): JobProblem[] {
  if (jobs === undefined && sweep === undefined) {
    const message = "jobs is missing; a batch needs jobs, or a sweep that describes them.";
    return [{ path: "jobs", code: "missing-field", message }];
  }
  if (jobs === undefined || sweep === undefined) return [];
  return [{ path: "sweep", code: "invalid-value", message: "sweep cannot come together with jobs." }];
}

export const retryBodySchema = z.strictObject({
  extraData: workflowParametersSchema.shape.extraData.describe(
    "The secret part of the extraData that the job was submitted with: it was erased when the job ended. For a batch, that of " +
      "all its jobs that had one.",
  ),
});

/** Reads `{extraData?}`. No problem that it raises contains a value of extraData. @throws InvalidJobError */
export function readRetry(body: unknown): unknown {
  if (body === undefined) return undefined;
  if (!isObject(body)) throw new InvalidJobError([notAnObject(body)]);
  const { extraData, ...others } = body;
  const parsed = z.strictObject({}).safeParse(others);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, retryBodySchema, others));
  const ofValues = problemsOfJson(extraData, "extraData");
  if (ofValues.length === 0) return extraData;
  throw new InvalidJobError(
    ofValues.map(({ code, ...problem }) => ({
      ...{ ...problem, code: code === "invalid-text" ? code : "out-of-bounds" },
    })),
  );
}

/** The body without its jobs, each of which is searched for a misplaced graph on its own. */
function withoutJobs(body: unknown): unknown {
  if (!isObject(body) || !Array.isArray(body["jobs"])) return body;
  return Object.fromEntries(Object.entries(body).filter(([name]) => name !== "jobs"));
}

function unknownType(type: unknown, accepted: readonly JobType[]): JobProblem {
  const list = accepted.join(", ");
  if (type === undefined) {
    return {
      path: "type",
      code: "missing-field",
      message: `type is missing; it must be one of ${list}.`,
      accepted,
    };
  }
  const shown = typeof type === "string" ? `"${type.slice(0, 100)}"` : typeof type;
  const message = `type is ${shown}; it must be ${accepted.length === 1 ? "" : "one of "}${list}.`;
  const received = typeof type === "string" ? type.slice(0, 100) : typeof type;
  return { path: "type", code: "unknown-type", message, received, accepted };
}
