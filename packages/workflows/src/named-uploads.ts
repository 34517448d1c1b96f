import { isFilenamePrefix, linkOf, type Workflow } from "@genga/comfyui";
import { InvalidJobError, readUploadName, type JobProblem, type UploadFinder } from "@genga/jobs";
import { judgeName, type ForbiddenName } from "./file-names.ts";
import { noUploads, uploadIdsIn, type KnownUploads } from "./known-uploads.ts";
import { shorten } from "./parameter-problems.ts";

/** Looks up the uploads that parameters name; the tenant's own only. */
export async function findNamedUploads(
  parameters: unknown,
  store: UploadFinder | undefined,
  tenantId: string | undefined,
): Promise<KnownUploads> {
  const ids = uploadIdsIn(parameters);
  if (ids.length === 0 || store === undefined || tenantId === undefined) return noUploads;
  const uploads = await store.findUploads(tenantId, ids);
  return new Map(uploads.map((upload) => [upload.id, upload]));
}

/**
 * A graph that a client wrote may name uploads as our own graphs do, and files of the server's own by their plain names.
 * @returns the ids of the uploads that it names
 * @throws InvalidJobError naming each input whose upload the tenant does not have, or that names what no graph may name
 */
export async function assertOwnNames(
  workflow: Workflow,
  store: UploadFinder | undefined,
  tenantId: string | undefined,
): Promise<string[]> {
  const texts = textsIn(workflow);
  const forbidden = texts.flatMap((text) => {
    if (readUploadName(text.value) !== null) return [];
    const reason = judgeName(text.value, { classType: text.classType, input: text.input });
    return reason === undefined ? [] : problemAt(text, "forbidden-file", advice[reason]);
  });
  const { unknown, ids } = await lookUp(texts, store, tenantId);
  if (forbidden.length + unknown.length > 0) throw new InvalidJobError([...forbidden, ...unknown]);
  return ids;
}

/** Says nothing of what there is: the same words for files that exist and for those that do not. */
const advice: Record<ForbiddenName, string> = {
  reserved:
    "names a file that graphs may not name; name an upload exactly as POST /api/anime/uploads answered",
  temporary:
    "names a temporary file of a server; save what another job needs, and send it to POST /api/anime/uploads",
  traversal: "leads out of its folder; give a file's plain name, without ..",
  absolute: "is an absolute name; give a file's plain name, or that of an upload",
};

async function lookUp(
  texts: readonly GraphText[],
  store: UploadFinder | undefined,
  tenantId: string | undefined,
): Promise<{ unknown: JobProblem[]; ids: string[] }> {
  const named = texts.flatMap((text) => {
    const upload = readUploadName(text.value);
    return upload === null ? [] : [{ text, sha256: upload.sha256 }];
  });
  if (named.length === 0) return { unknown: [], ids: [] };
  const contents = [...new Set(named.map(({ sha256 }) => sha256))];
  const found =
    store === undefined || tenantId === undefined ? [] : await store.findUploadsByContent(tenantId, contents);
  const own = new Set(found.map(({ sha256 }) => sha256));
  const advice = "names an upload that is not there; send the image to POST /api/anime/uploads first";
  const unknown = named.flatMap(({ text, sha256 }) =>
    own.has(sha256) ? [] : problemAt(text, "unknown-upload", advice),
  );
  return { unknown, ids: found.map(({ id }) => id) };
}

interface GraphText {
  nodeId: string;
  classType: string;
  input: string;
  value: string;
}

/** Every text in the inputs of a graph, however deep: servers unwrap `{"__value__": …}`, and packs read lists. */
function textsIn(workflow: Workflow): GraphText[] {
  return Object.entries(workflow).flatMap(([nodeId, { class_type: classType, inputs }]) =>
    Object.entries(inputs).flatMap(([input, value]) => {
      // The prefix is replaced before the graph is sent (`prepareForSubmission`), and a link carries no text.
      if (isFilenamePrefix(input) && typeof value === "string") return [];
      return linkOf(value) === undefined
        ? stringsIn(value).map((text) => ({ nodeId, classType, input, value: text }))
        : [];
    }),
  );
}

export function stringsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    Array.isArray(value) ? stringsIn(child) : [key, ...stringsIn(child)],
  );
}

function problemAt({ nodeId, input, value }: GraphText, code: string, advice: string): JobProblem {
  return {
    path: `workflow.${nodeId}.inputs.${input}`.slice(0, 300),
    code,
    message: `Node ${nodeId.slice(0, 200)}: ${input.slice(0, 200)} ${advice}.`,
    nodeId: nodeId.slice(0, 200),
    input: input.slice(0, 200),
    received: shorten(value),
  };
}
