import { validateGraph, type Workflow } from "@genga/comfyui";
import { InvalidJobError } from "@genga/jobs";
import { problemOfRawGraph } from "../judging/graph-problems.ts";
import { problemsOfJson } from "../parameters/json-limits.ts";

/**
 * Reads a graph in API format, as far as that is possible without knowing any server.
 * @throws InvalidJobError with paths such as `workflow.3.inputs.seed`
 */
export function readGraph(given: unknown): Workflow {
  const unstorable = problemsOfJson(given, "workflow");
  if (unstorable.length > 0) throw new InvalidJobError(unstorable);
  const { errors } = validateGraph(given);
  if (errors.length > 0) throw new InvalidJobError(errors.map(problemOfRawGraph));
  return given as Workflow;
}
