import { InvalidJobError, jobStatuses, jobTypes, type JobFilter } from "@genga/jobs";
import { numberOf } from "@genga/comfyui";
import { problemsOf, unstorable } from "@genga/workflows";
import { type Request } from "express";
import { z } from "zod";

/** The `:id` of the path. */
export function idOf(request: Request): string {
  const { id } = request.params;
  if (typeof id !== "string") throw new Error(`The route of ${request.path} has no id.`);
  return id;
}

/** @throws InvalidJobError naming what is wrong with the body, a flat object */
export function readBody<Schema extends z.ZodObject>(request: Request, schema: Schema): z.infer<Schema> {
  const body: unknown = request.body;
  const given: unknown =
    typeof body === "object" && body !== null && !Array.isArray(body)
      ? Object.fromEntries(Object.entries(body).map(([name, value]) => [name, numberOf(value) ?? value]))
      : body;
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, schema, given));
  return parsed.data;
}

/** What of `unstorable` a pattern can say: halves of surrogate pairs cannot be in UTF-8. */
export const withoutNul = "^[^\\u0000]*$";
/** A UUID in base64url; `decodeCursor` of packages/database reads it. */
const cursorPattern = "^[A-Za-z0-9_-]{8}[E-Za-j][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$";

const searchText = (lengthMax: number): z.ZodOptional<z.ZodString> =>
  z
    .string()
    .min(1)
    .max(lengthMax)
    .refine((text) => unstorable(text) === undefined, { error: "it contains what is not a character" })
    .meta({ pattern: withoutNul })
    .optional();

/** The query of `GET jobs`. */
export const jobsQuerySchema = z.strictObject({
  status: z
    .array(z.enum(jobStatuses))
    .min(1)
    .max(20)
    .optional()
    .describe("One or several, separated by commas."),
  type: z.array(z.enum(jobTypes)).min(1).max(20).optional().describe("One or several, separated by commas."),
  batch: z.uuid({ error: "is not a batch's id" }).optional(),
  project: searchText(100),
  tag: searchText(64),
  text: z
    .string()
    .max(200)
    .regex(/[\s\S]{3}|[^ -~]/, { error: "three characters at least, or one beyond ASCII" })
    .refine((text) => unstorable(text) === undefined, { error: "it contains what is not a character" })
    .optional()
    .describe("Found anywhere in the prompt, ignoring case: three characters, or one beyond ASCII (花)."),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .max(200)
    .optional()
    .describe("`nextCursor` of the page before.")
    .meta({ pattern: cursorPattern }),
});

/** @throws InvalidJobError naming what is wrong with the query */
export function readJobsQuery(request: Request): Omit<JobFilter, "tenantId"> {
  const query = withLists(request.query, "status", "type");
  const parsed = jobsQuerySchema.safeParse(query);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, jobsQuerySchema, query));
  const { status, type, batch, project, tag, text, limit, cursor } = parsed.data;
  return {
    limit,
    ...(status === undefined ? {} : { statuses: status }),
    ...(type === undefined ? {} : { types: type }),
    ...(batch === undefined ? {} : { batchId: batch.toLowerCase() }),
    ...(project === undefined ? {} : { project }),
    ...(tag === undefined ? {} : { tag }),
    ...(text === undefined ? {} : { text }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** `?status=a,b` and `?status=a&status=b` mean the same. */
function withLists(query: Request["query"], ...names: string[]): Record<string, unknown> {
  const lists = names.flatMap((name) => {
    const given = query[name];
    if (given === undefined) return [];
    const texts: unknown[] = Array.isArray(given) ? given : [given];
    return [[name, texts.flatMap((text) => (typeof text === "string" ? text.split(",") : [text]))] as const];
  });
  return { ...query, ...Object.fromEntries(lists) };
}
