import { createHash } from "node:crypto";
import { type NewJob } from "@genga/jobs";

/** Raised when something else comes to decide outputs. */
const version = 1;

/**
 * The hash of all that decides a job's outputs, as far as Genga knows: the graph, in which uploads stand by their content and
 * models by their names; which files are stored, and how; and what goes into the files' metadata.
 * @returns lowercase hex; `null` for a job whose outputs something else decides, too: secrets, or outputs of other jobs,
 * for which a graph has stand-ins
 */
export function reuseHashOf(job: NewJob, workflowHash: string): string | null {
  const { sealedExtraData, inputs = [], extraDataText } = job;
  if (sealedExtraData !== undefined || inputs.length > 0) return null;
  const { keepPreviews, stripMetadata, extraData } = optionsOf(job.parameters);
  const open = extraDataText ?? JSON.stringify(extraData ?? {});
  const decisive = [version, workflowHash, keepPreviews === true, stripMetadata === true, open];
  return createHash("sha256").update(JSON.stringify(decisive)).digest("hex");
}

/** `extraData` of raw graphs only, whose parameters are strict; the part of it that is no secret. */
function optionsOf(parameters: NewJob["parameters"]): Record<string, unknown> {
  const isObject = typeof parameters === "object" && parameters !== null && !Array.isArray(parameters);
  return isObject ? parameters : {};
}
