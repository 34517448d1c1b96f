import {
  type Job,
  type StoredParameters,
  type StoredTemplate,
  type TemplateReference,
  type UsedTemplate,
} from "@genga/jobs";
import { parseDefinition, valuesAfterChanges } from "@genga/workflows";

/**
 * The template that a rerun is made of: the first job's, unless changes make a graph that the template does not make of any
 * values. Changes of a built-in template's job are values of it.
 * @param find reads versions of templates, archived ones too
 */
export async function templateOfRerun(
  { template }: Pick<Job, "template">,
  { templateValues: values }: Pick<StoredParameters, "templateValues">,
  changes: Record<string, unknown> = {},
  find: (wanted: readonly TemplateReference[]) => Promise<StoredTemplate[]>,
): Promise<UsedTemplate | undefined> {
  if (template === null) return undefined;
  if (values === null || Object.keys(changes).length === 0) return { ...template, values };
  const [stored] = await find([template]);
  const changed =
    stored === undefined ? null : valuesAfterChanges(parseDefinition(stored.definition), values, changes);
  return changed === null ? undefined : { ...template, values: changed };
}
