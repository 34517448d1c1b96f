import { missingFrom, replacementOf, type ListedModel, type ServerDefinitions } from "@genga/comfyui";
import { type Lane } from "@genga/jobs";

/** What a server would need besides what it has. */
export interface ServerLack {
  classTypes: string[];
  models: ListedModel[];
  labels: string[];
}

/** The needs of a lane that the server does not meet. */
export function lackOf(
  { classTypes, models, labels }: Lane["needs"],
  server: { definitions: ServerDefinitions; labels: readonly string[] },
): ServerLack {
  const { objectInfo, replacements } = server.definitions;
  // The members of dynamic inputs are not known without the other inputs of the node, so they count as present.
  const asNeeded = models.map((model) => ({ ...model, nodeId: "", inputs: {} }));
  const missing = missingFrom({ classTypes, models: asNeeded }, objectInfo);
  return {
    classTypes: missing.classTypes.filter(
      (classType) => replacementOf(classType, replacements, objectInfo) === undefined,
    ),
    models: missing.models.map(({ classType, input, name }) => ({ classType, input, name })),
    labels: missingLabels(labels, server.labels),
  };
}

/** Whether the server can run the jobs of the lane, as far as their classes, models and labels show. */
export function meets(needs: Lane["needs"], server: Parameters<typeof lackOf>[1]): boolean {
  const { classTypes, models, labels } = lackOf(needs, server);
  return classTypes.length + models.length + labels.length === 0;
}

/** Those of the required labels that the server does not have. */
export function missingLabels(required: readonly string[], present: readonly string[]): string[] {
  return required.filter((label) => !present.includes(label));
}
