import {
  InvalidJobError,
  type Principal,
  type ResolvedWorkflow,
  type UploadFinder,
  type WorkflowResolver,
} from "@genga/jobs";
import { defaultUploadsOf, fillTemplate, type TemplateDefinition } from "@genga/workflows";

/** What was found about a template that may be stored. */
export interface JudgedTemplate {
  warnings: string[];
  notChecked: string[];
  /** The tenant's uploads that its graph and its defaults name. */
  uploadIds: string[];
}

/** Why no known server can run a template is told in so many warnings. */
const warningsMax = 50;

/** Judges the graph that a template makes of its defaults. */
export class TemplateJudge {
  readonly #parts: { resolver: WorkflowResolver; serverless: WorkflowResolver; uploads: UploadFinder };

  /** @param parts.serverless judges as if no server were known */
  constructor(parts: { resolver: WorkflowResolver; serverless: WorkflowResolver; uploads: UploadFinder }) {
    this.#parts = parts;
  }

  /**
   * What no server would take is refused. That no known server can run it now is a warning: the models may be added later.
   * @throws InvalidJobError with paths of the definition
   */
  async judge(definition: TemplateDefinition, { tenant, role }: Principal): Promise<JudgedTemplate> {
    const { resolver, serverless } = this.#parts;
    const submitter = { tenantId: tenant.id, operates: role === "operate" };
    const { workflow, defaultIds } = await this.#withDefaults(definition, tenant.id);
    const { keepPreviews, stripMetadata } = definition;
    const parameters = {
      workflow,
      ...(keepPreviews !== undefined && { keepPreviews }),
      ...(stripMetadata !== undefined && { stripMetadata }),
    };
    const { uploadIds } = await serverless.resolve("workflow", parameters, submitter);
    const remarks = await remarksOf(resolver.resolve("workflow", parameters, submitter));
    return { ...remarks, uploadIds: [...new Set([...uploadIds, ...defaultIds])] };
  }

  /** Where a parameter has no default, the graph's own value stands for it. */
  async #withDefaults(
    definition: TemplateDefinition,
    tenantId: string,
  ): Promise<{ workflow: unknown; defaultIds: string[] }> {
    const ids = defaultUploadsOf(definition);
    const found = ids.length === 0 ? [] : await this.#parts.uploads.findUploads(tenantId, ids);
    const parameters = Object.entries(definition.parameters).map(
      ([name, parameter]) =>
        [name, parameter.default === undefined ? { ...parameter, optional: true } : parameter] as const,
    );
    try {
      const filled = fillTemplate(
        { ...definition, parameters: Object.fromEntries(parameters) },
        {},
        new Map(found.map((upload) => [upload.id, upload])),
      );
      return { workflow: filled.workflow, defaultIds: found.map(({ id }) => id) };
    } catch (error) {
      if (!(error instanceof InvalidJobError)) throw error;
      throw new InvalidJobError(
        error.problems.map((problem) => ({
          ...problem,
          path: problem.path.replace(/^values\.([^.]*)$/, "parameters.$1.default"),
        })),
      );
    }
  }
}

async function remarksOf(
  resolved: Promise<ResolvedWorkflow>,
): Promise<Pick<JudgedTemplate, "warnings" | "notChecked">> {
  try {
    const { warnings, notChecked, areNeedsGuessed } = await resolved;
    const unknown =
      "No server's definitions are known now; what the graph needs is checked when a job is submitted.";
    return { warnings: areNeedsGuessed === true ? [...warnings, unknown] : warnings, notChecked };
  } catch (error) {
    if (!(error instanceof InvalidJobError)) throw error;
    if (error.problems.some(({ code }) => code === "denied-node-class")) throw error;
    const reasons = error.problems.slice(0, warningsMax).map(({ message }) => message);
    return { warnings: ["No known server can run it with its defaults now.", ...reasons], notChecked: [] };
  }
}
