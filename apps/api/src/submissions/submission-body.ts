import { isObject, numberOf } from "@genga/comfyui";
import {
  InvalidJobError,
  jobPriorities,
  jobTypes,
  type JobOptions,
  type JobProblem,
  type JobRequest,
  type JobType,
} from "@genga/jobs";
import { findMisplacedGraph, problemsOf, workflowParametersSchema } from "@genga/workflows";
import { z } from "zod";
import { prefix } from "../http/paths.ts";
import { storableText } from "../http/request-values.ts";

/** The fields that every job may have, besides its parameters. */
export const optionFields = {
  priority: z.enum(jobPriorities).optional().describe("Default: normal."),
  project: storableText(100).optional().describe("For searching."),
  tags: z.array(storableText(64)).max(20).optional().describe("For searching."),
  attemptsMax: z
    .int()
    .min(1)
    .max(10)
    .optional()
    .describe("How many attempts the job gets if a node raises an exception; default 1."),
  timeoutMs: z
    .int()
    .min(1_000)
    .max(86_400_000)
    .optional()
    .describe("Counted from the begin of the execution."),
  expiresAt: z.iso
    .datetime({ offset: true })
    .refine((text) => Date.parse(text) > Date.now(), { error: "it is in the past" })
    .optional()
    .describe("A deadline for the queue: if the job has not begun to execute by this time, it times out."),
};
const optionsSchema = z.strictObject(optionFields);

/** The most jobs that one batch may have. */
export const batchJobsMax = 10_000;

export const batchNameSchema = storableText(200).optional().describe("A name for people.");
const batchShape = z.strictObject({
  name: batchNameSchema,
  jobs: z.array(z.unknown()).min(1).max(batchJobsMax),
});

/** A submission as far as it could be read, and the problems found so far. */
export interface ReadSubmission {
  /** Absent when the type is not valid. */
  request: JobRequest | undefined;
  problems: JobProblem[];
}

/**
 * Reads `{type, …parameters, …options}`. The resolver judges the parameters later.
 * @param fixedType the type that the path says; the body may repeat it
 */
export function readSubmission(body: unknown, fixedType?: JobType): ReadSubmission {
  const asked = (isObject(body) ? body["type"] : undefined) ?? fixedType;
  const misplaced = findMisplacedGraph(body, {
    readsTexts: asked !== "image" && asked !== "video",
    ...(fixedType === undefined ? {} : { sendTo: `POST ${prefix}/generate` }),
  });
  // All other problems of such a body follow from the wrong place of its graph.
  if (misplaced !== undefined) return { request: undefined, problems: [misplaced] };
  if (!isObject(body)) return { request: undefined, problems: [notAnObject(body)] };
  const { type, ...rest } = body;
  const optionNames = new Set(Object.keys(optionFields));
  const entries = Object.entries(rest);
  const given = Object.fromEntries(
    entries.flatMap(([name, value]) => (optionNames.has(name) ? [[name, numberOf(value) ?? value]] : [])),
  );
  const options = optionsSchema.safeParse(given);
  const problems = options.success ? [] : problemsOf(options.error, optionsSchema, given);
  const known = jobTypes.find((each) => each === (type ?? fixedType));
  if (known === undefined || (fixedType !== undefined && known !== fixedType)) {
    const accepted = fixedType === undefined ? jobTypes : [fixedType];
    return { request: undefined, problems: [unknownType(type, accepted), ...problems] };
  }
  const parameters = Object.fromEntries(entries.filter(([name]) => !optionNames.has(name)));
  // `Object.fromEntries` defines `__proto__` as an ordinary property, so that the resolver sees it and refuses it.
  return {
    request: { type: known, parameters, options: withoutUndefined(options.data ?? {}) },
    problems,
  };
}

/**
 * Reads `{name?, jobs: […]}`; paths of problems look like `jobs.3.priority`.
 * @throws InvalidJobError when the body has no list of jobs
 */
export function readBatch(body: unknown): { name: string | null; submissions: ReadSubmission[] } {
  const parsed = batchShape.safeParse(body);
  if (!parsed.success) {
    const misplaced = findMisplacedGraph(withoutJobs(body), { sendTo: `POST ${prefix}/generate` });
    if (misplaced !== undefined) throw new InvalidJobError([misplaced]);
    throw new InvalidJobError(
      isObject(body) ? problemsOf(parsed.error, batchShape, body) : [notAnObject(body)],
    );
  }
  const submissions = parsed.data.jobs.map((each, index) => {
    const { request, problems } = readSubmission(each);
    const at = `jobs.${index}`;
    return {
      request,
      problems: problems.map((problem) => ({
        ...problem,
        path: problem.path === "" ? at : `${at}.${problem.path}`,
      })),
    };
  });
  return { name: parsed.data.name ?? null, submissions };
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
  return extraData;
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

function notAnObject(body: unknown): JobProblem {
  const received = body === null ? "null" : Array.isArray(body) ? "a list" : typeof body;
  return {
    path: "",
    code: "wrong-type",
    message: "A JSON object is expected.",
    received,
    accepted: "object",
  };
}

/** Removes undefined fields, as `exactOptionalPropertyTypes` requires. */
function withoutUndefined(options: z.infer<typeof optionsSchema>): JobOptions {
  const { priority, project, tags, attemptsMax, timeoutMs, expiresAt } = options;
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(project === undefined ? {} : { project }),
    ...(tags === undefined ? {} : { tags }),
    ...(attemptsMax === undefined ? {} : { attemptsMax }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }),
  };
}
