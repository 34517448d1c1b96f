import { type Workflow } from "@genga/comfyui";
import { InvalidJobError, readUploadName, type UploadStore } from "@genga/jobs";
import { noUploads, uploadIdsIn, type KnownUploads } from "./known-uploads.ts";

/** Looks up the uploads that parameters name; the tenant's own only. */
export async function findNamedUploads(
  parameters: unknown,
  store: UploadStore | undefined,
  tenantId: string | undefined,
): Promise<KnownUploads> {
  const ids = uploadIdsIn(parameters);
  if (ids.length === 0 || store === undefined || tenantId === undefined) return noUploads;
  const uploads = await store.findUploads(tenantId, ids);
  return new Map(uploads.map((upload) => [upload.id, upload]));
}

/**
 * A graph that a client wrote may name uploads as our own graphs do.
 * @throws InvalidJobError naming each input whose upload the tenant does not have
 */
export async function assertOwnUploads(
  workflow: Workflow,
  store: UploadStore | undefined,
  tenantId: string | undefined,
): Promise<void> {
  const named = Object.entries(workflow).flatMap(([nodeId, { inputs }]) =>
    Object.entries(inputs).flatMap(([input, value]) => {
      const upload = readUploadName(value);
      return upload === null ? [] : [{ nodeId, input, value, sha256: upload.sha256 }];
    }),
  );
  if (named.length === 0) return;
  const contents = [...new Set(named.map(({ sha256 }) => sha256))];
  const found =
    store === undefined || tenantId === undefined ? [] : await store.findUploadsByContent(tenantId, contents);
  const own = new Set(found.map(({ sha256 }) => sha256));
  const problems = named.flatMap(({ nodeId, input, value, sha256 }) =>
    own.has(sha256)
      ? []
      : {
          path: `workflow.${nodeId}.inputs.${input}`.slice(0, 300),
          code: "unknown-upload",
          message: `Node ${nodeId}: ${input} names an upload that is not there; send the image to POST /api/anime/uploads first.`,
          nodeId: nodeId.slice(0, 200),
          input: input.slice(0, 200),
          received: value,
        },
  );
  if (problems.length > 0) throw new InvalidJobError(problems);
}
