import { InvalidJobError, type JobOptions, type JobProblem, type JobRequest } from "@genga/jobs";
import { fillTemplate, isBuiltInTemplate, problemsOf, workflowParametersSchema } from "@genga/workflows";
import { z } from "zod";
import { jobOptionFields, readOptions, withDefaults } from "./job-options.ts";
import { type ReadSubmission } from "./read-submission.ts";
import { templateReferenceSchema, type RequestTemplates, type UsableTemplate } from "./request-templates.ts";

const { extraData, keepPreviews, stripMetadata } = workflowParametersSchema.shape;

const fields = {
  template: templateReferenceSchema,
  values: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      "Values of the template's parameters, by name. Of a built-in one: what jobs of that type take.",
    ),
  extraData,
  keepPreviews,
  stripMetadata,
};
const fieldsSchema = z.strictObject(fields);
const shape = z.strictObject({
  ...fields,
  template: z.unknown().optional(),
  values: z.unknown().optional(),
  extraData: z.unknown().optional(),
});

/** A job made of a template. */
export const templateJobSchema = z.strictObject({ ...fields, ...jobOptionFields });

/** Reads `{template, values, …options}`. The resolver judges the graph later. */
export function readTemplateJob(
  body: Record<string, unknown>,
  { ofBatch, templates }: { ofBatch: JobOptions; templates: RequestTemplates },
): ReadSubmission {
  const { type, ...rest } = body;
  const { options, problems, others } = withDefaults(readOptions(rest, "job"), ofBatch);
  if (Object.hasOwn(body, "type")) {
    const message = "type cannot come together with template, which says what the job is.";
    problems.push({
      path: "type",
      code: "invalid-value",
      message,
      ...(typeof type === "string" && { received: type.slice(0, 100) }),
    });
  }
  const parsed = shape.safeParse(others);
  if (!parsed.success) problems.push(...problemsOf(parsed.error, fieldsSchema, others));
  const found = templates.find(body["template"]);
  if ("problem" in found) return { request: undefined, problems: [...problems, found.problem] };
  try {
    const made = requestOf(found.template, others);
    return { request: { ...made, options }, problems };
  } catch (error) {
    if (!(error instanceof InvalidJobError)) throw error;
    return { request: undefined, problems: [...problems, ...error.problems] };
  }

  /** @throws InvalidJobError naming the values that are wrong */
  function requestOf(template: UsableTemplate, given: Record<string, unknown>): JobRequest {
    const { values = {}, ...others } = given;
    const beside = Object.fromEntries(Object.entries(others).filter(([field]) => field !== "template"));
    const { version, definition } = template;
    if (definition === null) return requestOfBuiltIn(version.name, values, Object.keys(beside));
    const filled = fillTemplate(definition, values, templates.uploads);
    const { keepPreviews: keeps, stripMetadata: strips } = definition;
    const parameters = {
      ...(keeps !== undefined && { keepPreviews: keeps }),
      ...(strips !== undefined && { stripMetadata: strips }),
      ...beside,
      workflow: filled.workflow,
    };
    return {
      ...{ type: "workflow", parameters, asSaid: filled.asSaid },
      template: { ...version, values: filled.values },
    };
  }
}

/** Values of a built-in template are the parameters of jobs of its type, and judged as such. */
function requestOfBuiltIn(name: string, values: unknown, beside: readonly string[]): JobRequest {
  if (!isBuiltInTemplate(name)) throw new Error(`There is no built-in template ${name}.`);
  if (beside.length > 0) {
    throw new InvalidJobError(
      beside.map((field) => ({
        ...{ path: field.slice(0, 200), code: "unknown-field", received: field.slice(0, 100) },
        message: `There is no field ${field.slice(0, 100)} beside the values of a built-in template.`,
      })),
    );
  }
  // Problems of options stay where they are: no parameter has the name of one.
  const asSaid = (problem: JobProblem): JobProblem => {
    const [first = ""] = problem.path.split(".");
    if (Object.hasOwn(jobOptionFields, first)) return problem;
    return { ...problem, path: problem.path === "" ? "values" : `values.${problem.path}` };
  };
  return { type: name, parameters: values, asSaid, template: { name, version: 1, values: null } };
}
