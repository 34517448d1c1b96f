import { replaceNodes, type ExactNumber, type ObjectInfo, type Workflow } from "@genga/comfyui";
import {
  InvalidJobError,
  isTerminal,
  PromptTakenError,
  type DoorFiles,
  type DoorPrompt,
  type DoorPrompts,
  type Job,
  type JobReader,
  type NewDoorPrompt,
  type Principal,
  type UploadFinder,
} from "@genga/jobs";
import { socketClasses } from "@genga/workflows";
import { sha256 } from "../accepting/hold-claim.ts";
import { parseJsonBytes } from "../http/json-body.ts";
import { RefusedError } from "../http/problem-document.ts";
import { type KnownServers } from "../servers/known-servers.ts";
import { type JobCommands } from "../submissions/job-commands.ts";
import { coerceInputs } from "./coerce-inputs.ts";
import { refusalOfGraph, toldOfNodes } from "./node-errors.ts";
import { nextNumber, shownNumber } from "./prompt-number.ts";
import { isNode, noOutputs, readPrompt, type ReadPrompt } from "./read-prompt.ts";
import { type RefusedGraph } from "./refused-graph.ts";
import { rewriteGraph, withoutRewrites } from "./rewrite-graph.ts";
import { PromptRefusedError, serverError, type ServerError, type ServerRefusal } from "./server-refusal.ts";
import { isNewer, newestFirst } from "./server-version.ts";

export interface PromptParts {
  prompts: Pick<DoorPrompts, "findNewestOf" | "findByPlace">;
  files: Pick<DoorFiles, "findFiles">;
  uploads: UploadFinder;
  jobs: JobReader;
  servers: Pick<KnownServers, "list" | "farm">;
}

/** The answer to `POST /prompt`. */
export type PromptAnswer =
  | {
      status: 200;
      body: { prompt_id: string; number: number | ExactNumber; node_errors: Record<string, never> };
      job: Job | null;
    }
  | { status: 400; body: ServerRefusal };

/** How often the place of a prompt is tried for that others have, and then give up. */
const triesMax = 5;

/**
 * Accepts a prompt as a job. While the newest job of the prompt id, client and key has the same graph, and has not ended, the prompt is that
 * job, so that a client may send it again when it got no answer.
 * @throws RefusedError @throws LimitReachedError @throws StoreUnavailableError
 */
export async function acceptPrompt(
  body: Uint8Array,
  principal: Principal,
  commands: Pick<JobCommands, "create">,
  parts: PromptParts,
): Promise<PromptAnswer> {
  try {
    const view = await viewOfServers(parts.servers);
    const read = readPrompt(await parseJsonBytes(body), { onlyUuids: view.isNewer });
    const create = (place?: string): Promise<Accepted> =>
      createPrompt(read, view, { principal, commands, parts, place });
    const { promptId, number, job } = read.hasOwnId
      ? await acceptOnce(read, principal, parts.prompts, create)
      : await create();
    const answer = { prompt_id: promptId, number: shownNumber(number), node_errors: {} };
    return { status: 200, body: answer, job };
  } catch (error) {
    if (error instanceof PromptRefusedError) return { status: 400, body: error.refusal };
    throw error;
  }
}

interface Accepted {
  promptId: string;
  number: number;
  /** `null` = it was accepted before. */
  job: Job | null;
}

/** What the known servers say of classes, and which protocol clients expect. */
interface ServersView {
  isKnown: boolean;
  isNewer: boolean;
  definitionOf: (classType: string) => ObjectInfo[string] | undefined;
  /** The graph as the newest server judges it: with newer classes in place of those that it no longer has. */
  withReplacements: (graph: Record<string, unknown>) => Record<string, unknown>;
}

async function viewOfServers(servers: PromptParts["servers"]): Promise<ServersView> {
  const [known, farm] = [await servers.list(), await servers.farm()];
  const versions = new Map(farm.servers.map(({ id, version }) => [id, version]));
  const sorted = known.toSorted((one, other) =>
    newestFirst(versions.get(one.id) ?? null, versions.get(other.id) ?? null),
  );
  const [newest] = sorted;
  return {
    isKnown: newest !== undefined,
    isNewer: isNewer(newest === undefined ? null : (versions.get(newest.id) ?? null)),
    definitionOf: (classType) => {
      const having = sorted.find(({ objectInfo }) => Object.hasOwn(objectInfo, classType));
      return having?.objectInfo[classType];
    },
    withReplacements: (graph) => {
      const { replacements, objectInfo } = newest ?? {};
      if (replacements === undefined || objectInfo === undefined || !isWorkflow(graph)) return graph;
      return replaceNodes(graph, replacements, objectInfo).workflow;
    },
  };
}

function isWorkflow(graph: Record<string, unknown>): graph is Workflow {
  return Object.values(graph).every(isNode);
}

/**
 * Of several requests with one prompt id, graph, client and key at the same time, one makes the job and the others find it: all want the
 * place after the job that they found as the newest. Another client would hear nothing of that job, and another key has another
 * queue, so theirs are other jobs, as every copy is on a server.
 */
async function acceptOnce(
  { promptId, clientId, saidHash }: ReadPrompt,
  { tenant: { id: tenantId }, keyName }: Principal,
  prompts: PromptParts["prompts"],
  create: (place: string) => Promise<Accepted>,
): Promise<Accepted> {
  const sender = { promptId, clientId, keyName };
  let newest = await prompts.findNewestOf(tenantId, sender);
  if (newest?.saidHash === saidHash && goesOn(newest)) return { promptId, number: newest.number, job: null };
  for (let tries = 0; tries < triesMax; tries += 1) {
    const place = sha256(JSON.stringify([promptId, saidHash, clientId, keyName, newest?.jobId ?? null]));
    try {
      return await create(place);
    } catch (error) {
      if (!(error instanceof PromptTakenError)) throw error;
    }
    const latest = await prompts.findNewestOf(tenantId, sender);
    // It came at the same moment, and may have ended already.
    const isNew = latest !== null && latest.jobId !== newest?.jobId;
    if (isNew && latest.saidHash === saidHash && latest.cancelRequestedAt === null)
      return { promptId, number: latest.number, job: null };
    const holder = await prompts.findByPlace(tenantId, place);
    if (holder !== null && goesOn(holder)) return { promptId, number: holder.number, job: null };
    // It was removed meanwhile, or it has ended and seems older than it is: the clocks of processes differ, and ids are times.
    newest = holder ?? latest;
  }
  throw new RefusedError("request-under-way", "The same prompt is being accepted. Send it again.", {
    headers: { "retry-after": "1" },
  });
}

/** A prompt that its client has taken out of the queue, or interrupted, is over for the client, also while its worker still has to end it. */
function goesOn({ status, cancelRequestedAt }: DoorPrompt): boolean {
  return !isTerminal(status) && cancelRequestedAt === null;
}

async function createPrompt(
  read: ReadPrompt,
  view: ServersView,
  {
    principal,
    commands,
    parts,
    place,
  }: {
    principal: Principal;
    commands: Pick<JobCommands, "create">;
    parts: PromptParts;
    place: string | undefined;
  },
): Promise<Accepted> {
  const { definitionOf } = view;
  const outputNodes = outputNodesOf(read, view);
  const { promptId, clientId, targets, saidHash, extraData } = read;
  const { graph, unwrapped } = coerceInputs(read.graph, outputNodes, definitionOf);
  const rewritten = await rewriteGraph(graph, {
    ...{ tenantId: principal.tenant.id, doorFiles: parts.files, uploads: parts.uploads, jobs: parts.jobs },
    definitionOf,
  });
  const shown = withoutRewrites(graph, unwrapped);
  const refused: RefusedGraph = {
    graph: view.withReplacements(shown),
    definitionOf,
    outputNodes,
    isNewer: view.isNewer,
  };
  const number = read.number ?? nextNumber(read.isFront);
  const said: NewDoorPrompt = {
    ...{ keyName: principal.keyName, promptId, clientId, number, saidHash, targets, outputNodes },
    ...{ socketNodes: rewritten.socketNodes, rewrites: [...rewritten.rewrites, ...unwrapped] },
    ...(place !== undefined && { place }),
    goesBefore: read.number !== undefined || read.isFront,
  };
  const parameters = {
    workflow: rewritten.graph,
    keepPreviews: true,
    ...(extraData !== undefined && { extraData }),
  };
  try {
    if (rewritten.missing.length > 0) throw refusalOfFiles(rewritten.missing, refused);
    const request = { type: "workflow" as const, parameters, options: { door: said } };
    const { job } = await commands.create({ request, problems: [] });
    return { promptId, number, job };
  } catch (error) {
    throw error instanceof InvalidJobError ? refusalOfGraph(error.problems, refused) : error;
  }
}

/** Of more missing files nothing is said, as the judge of graphs does. */
const missingShownMax = 100;

function refusalOfFiles(
  missing: Awaited<ReturnType<typeof rewriteGraph>>["missing"],
  refused: RefusedGraph,
): PromptRefusedError {
  const errorsOf = new Map<string, ServerError[]>();
  for (const { nodeId, error } of missing.slice(0, missingShownMax))
    errorsOf.set(nodeId, [...(errorsOf.get(nodeId) ?? []), error]);
  return new PromptRefusedError(
    serverError("prompt_outputs_failed_validation", "Prompt outputs failed validation"),
    toldOfNodes(errorsOf, refused),
  );
}

/** The nodes whose results a server would make; of a class that no known server has, nobody knows. */
function outputNodesOf({ graph, targets }: ReadPrompt, { isKnown, definitionOf }: ServersView): string[] {
  const ids = Object.entries(graph).flatMap(([id, node]) => {
    if (!isNode(node)) return [];
    const isSaved = socketClasses.has(node.class_type);
    return !isKnown || isSaved || definitionOf(node.class_type)?.isOutputNode === true ? [id] : [];
  });
  if (targets === null) return ids;
  const chosen = ids.filter((id) => targets.includes(id));
  if (chosen.length === 0) throw noOutputs();
  return chosen;
}
