import { mainModelOf, needsOf, stepsOf, workflowShape, type Workflow } from "@genga/comfyui";
import { type RunKind } from "@genga/jobs";

/** The kind of run that a graph makes: what decides how long it takes. */
export function runKindOf(workflow: Workflow): RunKind {
  const { structure, exact, steps, size, nodeKeys } = workflowShape(workflow);
  const nodes = Object.entries(workflow).map(([id, node]) => ({
    ...{ id, key: nodeKeys.get(id) ?? "", steps: stepsOf(node, workflow) },
  }));
  return { structure, exact, steps, size, model: mainModelOf(needsOf(workflow).models), nodes };
}
