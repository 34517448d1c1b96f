import { isFilenamePrefix, linkOf, type ObjectInfo, type Workflow } from "@genga/comfyui";
import {
  InvalidJobError,
  readUploadName,
  uploadStorageKey,
  type JobProblem,
  type Upload,
  type UploadFinder,
} from "@genga/jobs";
import { judgeName, type ForbiddenName } from "./file-names.ts";
import { noUploads, uploadIdsIn, type KnownUploads } from "../parameters/known-uploads.ts";
import { valuesMax } from "../parameters/json-limits.ts";
import { shorten } from "../parameters/parameter-problems.ts";
import { type Turns } from "./turns.ts";
import { problemOfKind } from "./upload-kinds.ts";

/** Looks up the uploads that parameters name, among the tenant's own uploads only. */
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

/** What a client's graph may name. */
interface OwnNames {
  store: UploadFinder | undefined;
  tenantId: string | undefined;
  /** The names that stand for outputs of other jobs. */
  standIns: ReadonlySet<string>;
  /** The known servers, whose definitions say which kind of file an input takes. */
  servers: () => Promise<readonly { objectInfo: ObjectInfo }[]>;
}

/**
 * Checks the file names in a client's graph. The graph may name uploads in the form that generated graphs use, and
 * files of the server by their plain names.
 * @returns the ids of the uploads that it names
 * @throws InvalidJobError naming each input whose upload the tenant does not have or is of another kind than the node
 * reads, or that names what no graph may name
 */
export async function assertOwnNames(
  workflow: Workflow,
  { store, tenantId, standIns, servers }: OwnNames,
  turns: Turns,
): Promise<string[]> {
  const texts = textsIn(workflow);
  const forbidden: JobProblem[] = [];
  for (const text of texts) {
    if (turns.isOver) await turns.next();
    if (readUploadName(text.value) !== null) continue;
    const reason = judgeName(text.value, { classType: text.classType, input: text.input });
    if (reason !== undefined) forbidden.push(problemAt(text, "forbidden-file", advice[reason]));
    if (forbidden.length >= problemsMax) break;
  }
  const uploads = texts.filter(({ value }) => !standIns.has(value));
  const { unknown, found } = await lookUp(uploads, store, tenantId);
  if (forbidden.length + unknown.length > 0) throw new InvalidJobError([...forbidden, ...unknown]);
  const known = found.length === 0 ? [] : await servers();
  const wrong = found.flatMap(({ text, upload }) => problemOfKind(text, upload, known) ?? []);
  if (wrong.length > 0) throw new InvalidJobError(wrong.slice(0, problemsMax));
  return [...new Set(found.map(({ upload }) => upload.id))];
}

const problemsMax = 100;

/** The messages do not show whether a file exists: they are the same for existing and for missing files. */
const advice: Record<ForbiddenName, string> = {
  reserved:
    "names a file that graphs may not name; name an upload exactly as POST /api/anime/uploads answered",
  temporary:
    "names a temporary file of a server; save what another job needs, and send it to POST /api/anime/uploads",
  "too-long": "is longer than any file's name; give a file's plain name, or that of an upload",
  traversal: "leads out of its folder; give a file's plain name, without ..",
  absolute: "is an absolute name; give a file's plain name, or that of an upload",
};

async function lookUp(
  texts: readonly GraphText[],
  store: UploadFinder | undefined,
  tenantId: string | undefined,
): Promise<{ unknown: JobProblem[]; found: { text: GraphText; upload: Upload }[] }> {
  const named = texts.flatMap((text) => {
    const upload = readUploadName(text.value);
    return upload === null ? [] : [{ text, ...upload }];
  });
  if (named.length === 0) return { unknown: [], found: [] };
  const contents = [...new Set(named.map(({ sha256 }) => sha256))];
  const uploads =
    store === undefined || tenantId === undefined ? [] : await store.findUploadsByContent(tenantId, contents);
  // The name also says the type, by which servers read the file.
  const own = new Map(uploads.map((upload) => [uploadStorageKey(upload), upload]));
  const advice = "names an upload that is not there; send the file to POST /api/anime/uploads first";
  const unknown: JobProblem[] = [];
  const found = named.flatMap(({ text, storageKey }) => {
    const upload = own.get(storageKey);
    if (upload !== undefined) return [{ text, upload }];
    if (unknown.length < problemsMax) unknown.push(problemAt(text, "unknown-upload", advice));
    return [];
  });
  return { unknown, found };
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

/**
 * A job within its limits has at most one name for each of its values. A job with more values is refused
 * (`problemsOfJson`).
 */
const textsMax = 4 * valuesMax;

/** All texts in a value, including the names of members. Walks without recursion, so deep nesting does no harm. */
export function stringsIn(value: unknown): string[] {
  const found: string[] = [];
  const waiting: unknown[] = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next === "string") found.push(next);
    if (typeof next !== "object" || next === null) continue;
    const children: unknown[] = Array.isArray(next) ? next : Object.entries(next).flat();
    if (found.length + waiting.length + children.length > textsMax) return found;
    for (const child of children.toReversed()) waiting.push(child);
  }
  return found;
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
