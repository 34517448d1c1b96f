import { isObject } from "@genga/comfyui";
import { InvalidJobError, type JobProblem } from "@genga/jobs";
import { notAnObject, type ReadSubmission } from "../submissions/read-submission.ts";
import { readSubmission } from "../submissions/submission-body.ts";
import { resolveAssets, type FindFiles } from "./asset-references.ts";

const fields: ReadonlySet<string> = new Set(["workflow", "extra_data"]);
const extraFields: ReadonlySet<string> = new Set(["api_key_comfy_org"]);

/**
 * Reads `{workflow, extra_data?}` as a job with a raw graph. The resolver judges the graph later.
 * @throws InvalidJobError
 */
export async function readComfyJob(body: unknown, findFiles: FindFiles): Promise<ReadSubmission> {
  if (!isObject(body)) throw new InvalidJobError([notAnObject(body)]);
  const problems = [...problemsOfFields(body), ...problemsOfExtraData(body["extra_data"])];
  if (problems.length > 0) throw new InvalidJobError(problems);
  const { workflow, extra_data: extraData } = body;
  if (!isObject(workflow)) {
    const message = "workflow must be a graph in API format: node id → { class_type, inputs }.";
    const code = workflow === undefined ? "missing-field" : "wrong-type";
    throw new InvalidJobError([{ path: "workflow", code, message }]);
  }
  const resolved = await resolveAssets(workflow, findFiles);
  const isSecret = isObject(extraData) && Object.keys(extraData).length > 0;
  return readSubmission(
    { type: "workflow", workflow: resolved, ...(isSecret && { extraData }) },
    { fixedType: "workflow" },
  );
}

function problemsOfFields(body: Record<string, unknown>): JobProblem[] {
  return Object.keys(body).flatMap((name) => {
    if (fields.has(name)) return [];
    if (name === "metadata") {
      const message = "metadata cannot be kept here; leave it out.";
      return [{ path: name, code: "metadata-not-supported", message }];
    }
    const shown = name.slice(0, 100);
    return [{ path: shown, code: "unknown-field", message: `${shown} is not known here.` }];
  });
}

/** No problem contains a value: it may be a key. */
function problemsOfExtraData(given: unknown): JobProblem[] {
  if (given === undefined) return [];
  if (!isObject(given))
    return [{ path: "extra_data", code: "wrong-type", message: "extra_data must be an object." }];
  return Object.entries(given).flatMap(([name, value]) => {
    const path = `extra_data.${name.slice(0, 100)}`;
    if (!extraFields.has(name))
      return [{ path, code: "unknown-field", message: `${path} is not known here.` }];
    return typeof value === "string"
      ? []
      : [{ path, code: "wrong-type", message: `${path} must be a text.` }];
  });
}
