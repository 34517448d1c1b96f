import { numberOf } from "@genga/comfyui";
import {
  isServerLabel,
  jobPriorities,
  labelShape,
  labelsMax,
  type JobOptions,
  type JobProblem,
} from "@genga/jobs";
import { problemsOf } from "@genga/workflows";
import { z } from "zod";
import { storableText, withoutUndefined } from "../http/request-values.ts";
import { submittedWebhookSchema } from "../webhooks/webhook-fields.ts";

/** What PostgreSQL takes as `Date` writes it: years have four digits, and there is no year 0. */
const [firstMoment, lastMoment] = [
  Date.parse("0001-01-01T00:00:00Z"),
  Date.parse("9999-12-31T23:59:59.999Z"),
];

const moment = z.iso
  .datetime({ offset: true })
  .refine((text) => Date.parse(text) >= firstMoment && Date.parse(text) <= lastMoment, {
    error: "in UTC it is not in the years 1 to 9999",
  });
const momentBounds = "In UTC it is in the years 1 to 9999.";

/** By what jobs are found again; a batch keeps those that its request names for all of its jobs. */
const labelFields = {
  project: storableText(100).optional().describe("For searching."),
  scene: storableText(100).optional().describe("For searching."),
  shot: storableText(100).optional().describe("For searching."),
  tags: z.array(storableText(64)).max(20).optional().describe("For searching."),
};

const bounds = { attemptsMax: { min: 1, max: 10 }, timeoutMs: { min: 1_000, max: 86_400_000 } } as const;

/** Of a job, or of a batch as a whole. */
const webhook = submittedWebhookSchema
  .optional()
  .describe("Where the events of this job are sent, or of this batch and its jobs; docs/webhooks.md.");

/** The fields that every job may have, besides its parameters. In a batch they may also stand beside its jobs, for all of them. */
const optionFields = {
  priority: z.enum(jobPriorities).optional().describe("Default: normal."),
  ...labelFields,
  requires: z
    .array(z.string().refine(isServerLabel, { error: labelShape }))
    .max(labelsMax.required)
    .optional()
    .describe(
      "Labels that the job's server must have, such as gpu:24gb; GET /servers shows those that exist.",
    ),
  attemptsMax: z
    .int()
    .min(bounds.attemptsMax.min)
    .max(bounds.attemptsMax.max)
    .optional()
    .describe("How many attempts the job gets if a node raises an exception; default 1."),
  timeoutMs: z
    .int()
    .min(bounds.timeoutMs.min)
    .max(bounds.timeoutMs.max)
    .optional()
    .describe("Counted from the begin of the execution."),
  reuse: z
    .boolean()
    .optional()
    .describe(
      "If a completed job of yours has the same graph, with the same values and uploads, the job gets that one's outputs and is " +
        "completed at once; `reusedFrom` says so. A job with secret extraData, or that waits for other jobs, always runs.",
    ),
  runAt: moment.optional().describe(`The job does not begin before this time. ${momentBounds}`),
  expiresAt: moment
    .refine((text) => Date.parse(text) > Date.now(), { error: "it is in the past" })
    .optional()
    .describe(
      "A deadline for the queue: if the job has not begun to execute by this time, it times out, also while it waits for " +
        `other jobs. It is not in the past. ${momentBounds}`,
    ),
};

/** The options of a batch as a whole. */
export const batchOptionFields = { ...optionFields, webhook };

const { attemptsMax, timeoutMs, expiresAt, reuse } = optionFields;

/**
 * The same options in the query of a batch, whose values are texts. Whether a deadline is in the past is decided only when
 * the jobs are read: a request that is repeated with its Idempotency-Key gets the answer of the first one, also later.
 */
export const optionQueryFields = {
  ...optionFields,
  attemptsMax: inQuery(bounds.attemptsMax).describe(attemptsMax.description ?? ""),
  timeoutMs: inQuery(bounds.timeoutMs).describe(timeoutMs.description ?? ""),
  expiresAt: moment.optional().describe(expiresAt.description ?? ""),
  reuse: z
    .enum(["true", "false"])
    .optional()
    .describe(reuse.description ?? ""),
};

function inQuery({ min, max }: { min: number; max: number }): z.ZodOptional<z.ZodCoercedNumber> {
  return z.coerce.number().int().min(min).max(max).optional();
}

/** The most jobs that one job may name as those that it depends on. */
const dependenciesMax = 100;

/** The options of one job: those of a batch, and its place among other jobs. */
export const jobOptionFields = {
  ...optionFields,
  webhook,
  key: storableText(64)
    .min(1)
    .optional()
    .describe("A name for this job within its batch, by which other jobs of the batch can depend on it."),
  dependsOn: z
    .array(z.string().min(1).max(64))
    .max(dependenciesMax)
    .optional()
    .describe(
      "Jobs that must complete before this one begins: keys of jobs of the same batch, or ids of existing jobs. If one of " +
        "them ends in another way, this job fails with the code dependency-failed; a retry of that one brings this job " +
        "back, too.",
    ),
};

/** Of a job, or of a batch for all of its jobs. */
const schemas = { job: z.strictObject(jobOptionFields), batch: z.strictObject(batchOptionFields) } as const;

/** The options as they were given, and what is wrong with them. */
export interface ReadOptions {
  options: JobOptions;
  problems: JobProblem[];
}

/** Reads those fields of an object that are options; `others` has the rest. */
export function readOptions(
  given: Record<string, unknown>,
  of: keyof typeof schemas,
): ReadOptions & { others: Record<string, unknown> } {
  const optionsSchema = schemas[of];
  const optionNames = new Set(Object.keys(optionsSchema.shape));
  const entries = Object.entries(given);
  const asked = Object.fromEntries(
    entries.flatMap(([name, value]) => (optionNames.has(name) ? [[name, numberOf(value) ?? value]] : [])),
  );
  // `Object.fromEntries` defines `__proto__` as an ordinary property, so that the resolver sees it and refuses it.
  const others = Object.fromEntries(entries.filter(([name]) => !optionNames.has(name)));
  const parsed = optionsSchema.safeParse(asked);
  if (!parsed.success)
    return { options: {}, problems: problemsOf(parsed.error, optionsSchema, asked), others };
  const { runAt, expiresAt, webhook: hook, ...plain } = parsed.data;
  const options: JobOptions = {
    ...withoutUndefined(plain),
    ...(hook !== undefined && { webhook: withoutUndefined(hook) }),
    ...(runAt === undefined ? {} : { runAt: new Date(runAt) }),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }),
  };
  return { options, problems: problemsOfTimes(options), others };
}

/** A job that may only begin after its deadline would always time out. */
function problemsOfTimes({ runAt, expiresAt }: JobOptions): JobProblem[] {
  if (runAt === undefined || expiresAt === undefined || runAt < expiresAt) return [];
  const [received, deadline] = [runAt.toISOString(), expiresAt.toISOString()];
  const message = `runAt is ${received}, which is not before expiresAt (${deadline}).`;
  return [{ path: "runAt", code: "out-of-bounds", message, received, accepted: { before: deadline } }];
}

/**
 * The options of a job of a batch: its own, and the batch's where it has none.
 * @param ofBatch options without a problem; its webhook is the batch's own, and not one of each job
 */
export function withDefaults<Read extends ReadOptions>(read: Read, ofBatch: JobOptions): Read {
  const { options, problems } = read;
  const merged = { ...ofBatch, ...options };
  if (options.webhook === undefined) delete merged.webhook;
  const isMixed = (options.runAt === undefined) !== (options.expiresAt === undefined);
  return {
    ...read,
    options: merged,
    problems: isMixed ? [...problems, ...problemsOfTimes(merged)] : problems,
  };
}
