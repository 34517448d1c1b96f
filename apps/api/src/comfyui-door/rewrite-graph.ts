import { graphNodesMax, isUploadInput, linkOf, specOf, type ObjectInfo } from "@genga/comfyui";
import {
  uploadName,
  type DoorFile,
  type DoorFileName,
  type DoorFiles,
  type DoorPrompt,
  type DoorRewrite,
  type JobOutput,
  type JobReader,
  type UploadFinder,
} from "@genga/jobs";
import { socketClasses } from "@genga/workflows";
import { outputOfSource, readFileValue } from "./file-names.ts";
import { isNode } from "./read-prompt.ts";
import { serverError, type ServerError } from "./server-refusal.ts";

/** A client's graph as Genga runs it, and what was changed in it. */
export interface RewrittenGraph {
  graph: Record<string, unknown>;
  rewrites: DoorRewrite[];
  socketNodes: string[];
  /** Inputs that name files which the tenant does not have. */
  missing: { nodeId: string; error: ServerError }[];
}

export interface RewritingParts {
  tenantId: string;
  doorFiles: Pick<DoorFiles, "findFiles">;
  uploads: UploadFinder;
  jobs: JobReader;
  definitionOf: (classType: string) => ObjectInfo[string] | undefined;
}

interface NamedFile {
  nodeId: string;
  input: string;
  value: string;
  name: DoorFileName | undefined;
}

const savingClass = "SaveImage";

/**
 * Replaces names of the client's own files by the names that Genga has for them, and nodes whose pictures would travel only as
 * frames by nodes that save them. The graph itself is not changed.
 */
export async function rewriteGraph(
  given: Record<string, unknown>,
  parts: RewritingParts,
): Promise<RewrittenGraph> {
  // It is refused for its size, and each file of it would be looked for.
  if (Object.keys(given).length > graphNodesMax)
    return { graph: given, rewrites: [], socketNodes: [], missing: [] };
  const files = filesIn(given, parts.definitionOf);
  const [graph, rewrites]: [Record<string, unknown>, DoorRewrite[]] = [{ ...given }, []];
  const socketNodes: string[] = [];
  for (const [nodeId, node] of Object.entries(given)) {
    if (!isNode(node) || !socketClasses.has(node.class_type)) continue;
    const { images } = node.inputs;
    const inputs = { ...(images !== undefined && { images }), filename_prefix: "ComfyUI" };
    graph[nodeId] = { ...node, class_type: savingClass, inputs };
    rewrites.push({ nodeId, said: node });
    socketNodes.push(nodeId);
  }
  const missing: RewrittenGraph["missing"] = [];
  const values = await valuesOf(files, parts);
  for (const [index, { nodeId, input, value }] of files.entries()) {
    const node = graph[nodeId];
    const own = values[index];
    if (!isNode(node)) continue;
    if (own === undefined) {
      missing.push({ nodeId, error: noSuchFile(input, value) });
      continue;
    }
    graph[nodeId] = { ...node, inputs: { ...node.inputs, [input]: own } };
    rewrites.push({ nodeId, input, said: value });
  }
  return { graph, rewrites, socketNodes, missing };
}

/** The graph as its client sent it. */
export function withoutRewrites(
  graph: Record<string, unknown>,
  rewrites: readonly DoorRewrite[],
): Record<string, unknown> {
  const shown = { ...graph };
  for (const { nodeId, input, said } of rewrites) {
    const node = shown[nodeId];
    if (input === undefined) shown[nodeId] = said;
    else if (isNode(node)) shown[nodeId] = { ...node, inputs: { ...node.inputs, [input]: said } };
  }
  return shown;
}

/** Whether a server lists the pictures that this node sends to the socket: then it sends them without metadata. */
export function listsPictures({ rewrites }: Pick<DoorPrompt, "rewrites">, nodeId: string): boolean {
  return rewrites.some(
    (rewrite) =>
      rewrite.nodeId === nodeId &&
      rewrite.input === undefined &&
      isNode(rewrite.said) &&
      socketClasses.get(rewrite.said.class_type)?.isListed === true,
  );
}

/** The inputs that name files to load. */
function filesIn(graph: Record<string, unknown>, definitionOf: RewritingParts["definitionOf"]): NamedFile[] {
  return Object.entries(graph).flatMap(([nodeId, node]) => {
    if (!isNode(node)) return [];
    const definition = definitionOf(node.class_type);
    return Object.entries(node.inputs).flatMap(([input, value]): NamedFile[] => {
      if (typeof value !== "string" || value === "" || linkOf(value) !== undefined) return [];
      const spec = definition === undefined ? undefined : specOf(definition, input);
      const isFile = isUploadInput(node.class_type, input, spec ?? ["COMBO"]);
      return isFile ? [{ nodeId, input, value, name: readFileValue(value) }] : [];
    });
  });
}

/** What the graph says in place of each name; `undefined` = the tenant has no such file. */
async function valuesOf(files: readonly NamedFile[], parts: RewritingParts): Promise<unknown[]> {
  const { tenantId, doorFiles, uploads, jobs } = parts;
  const names = files.flatMap(({ name }) => name ?? []);
  if (names.length === 0) return files.map(() => undefined);
  const found = await doorFiles.findFiles(tenantId, names);
  const uploadIds = found.flatMap((file) => (file !== null && "uploadId" in file ? [file.uploadId] : []));
  const byId = new Map((await uploads.findUploads(tenantId, uploadIds)).map((upload) => [upload.id, upload]));
  const own = jobs.of(tenantId);
  const read = new Map<string, Promise<JobOutput[]>>();
  const outputsOf = (jobId: string): Promise<JobOutput[]> => {
    const outputs = read.get(jobId) ?? own.listOutputs(jobId);
    read.set(jobId, outputs);
    return outputs;
  };
  const valueOf = async (file: DoorFile | null | undefined): Promise<unknown> => {
    if (file === null || file === undefined) return undefined;
    if ("uploadId" in file) {
      const upload = byId.get(file.uploadId);
      return upload === undefined ? undefined : uploadName(upload);
    }
    const output = outputOfSource(await outputsOf(file.jobId), file.source);
    return output === undefined ? undefined : { $output: { from: file.jobId, output: output.index } };
  };
  const values: unknown[] = [];
  let place = 0;
  for (const { name } of files) {
    values.push(name === undefined ? undefined : await valueOf(found[place]));
    if (name !== undefined) place += 1;
  }
  return values;
}

function noSuchFile(input: string, value: string): ServerError {
  return serverError("custom_validation_failed", "Custom validation failed for node", {
    details: `${input} - Invalid image file: ${value.slice(0, 500)}`,
    extra_info: { input_name: input },
  });
}
