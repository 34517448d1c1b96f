import {
  choicesOf,
  noticedByServer,
  replaceNodes,
  serverNeedsOf,
  stringifyExactJson,
  validateGraph,
  wrapLists,
  type GraphProblem,
  type GraphValidation,
  type NodeReplacements,
  type ObjectInfo,
  type ReplacedGraph,
  type Workflow,
} from "@genga/comfyui";
import { type JobProblem, type ResolvedWorkflow } from "@genga/jobs";
import { problemOfGeneratedGraph, problemOfRawGraph } from "./graph-problems.ts";
import { problemOfLabelledServers, problemOfLabels } from "./label-problems.ts";
import { nearestFirst } from "./nearest-names.ts";
import { missingLabels } from "./server-lack.ts";
import { warningOfKeptMetadata } from "./kept-metadata.ts";
import { outputOptionsOf } from "../parameters/output-options.ts";
import { type Alternative, type Submission } from "./submission.ts";
import { warningOfTemporaryOutputs } from "./temporary-outputs.ts";
import { missingEnding } from "../building/video-endings.ts";

/** A server whose node definitions were read. */
export interface KnownServer {
  id: string;
  /** Servers with the same hash have the same nodes and models, and are judged once. */
  definitionsHash: string;
  objectInfo: ObjectInfo;
  /** The server's replacements for classes that it no longer has; absent if it has none. */
  replacements?: NodeReplacements;
  /** Absent = none. */
  labels?: readonly string[];
}

/** A graph that a known server can run; while no server is known, a graph whose shape is valid. */
export interface Acceptance {
  alternative: Alternative;
  /** The graph to run: with list values wrapped as servers expect them. */
  workflow: Workflow;
  wrapped: { nodeId: string; input: string }[];
  /** Nodes that the server will replace by nodes of a newer class. */
  replaced: ReplacedGraph["replaced"];
  validation: GraphValidation;
  /** Absent while no server is known. */
  objectInfo: ObjectInfo | undefined;
  /** Some server takes the graph, and none can run it to the end. */
  mustFail?: true;
}

/**
 * Returns the graph to run, or the reasons why no known server can run it.
 * @param requires labels that the server must have
 * @param asServer what a server takes is accepted, although no known server can run it to the end
 */
export function judge(
  submission: Submission,
  servers: readonly KnownServer[],
  requires: readonly string[] = [],
  asServer = false,
): Acceptance | JobProblem[] {
  const judgeGraph = (given: Submission, on: readonly KnownServer[]): Acceptance | JobProblem[] =>
    judgeOnAny(given, on, asServer);
  if (requires.length === 0 || servers.length === 0) return judgeGraph(submission, servers);
  const labelled = servers.filter(({ labels = [] }) => missingLabels(requires, labels).length === 0);
  const verdict = judgeGraph(submission, labelled.length === 0 ? servers : labelled);
  if (labelled.length === 0)
    return [problemOfLabels(requires, servers), ...(Array.isArray(verdict) ? verdict : [])];
  if (!Array.isArray(verdict) || Array.isArray(judgeGraph(submission, servers))) return verdict;
  return [...verdict, problemOfLabelledServers(requires)];
}

/** A server on which every input could be checked is preferred to one on which some could not. */
function judgeOnAny(
  submission: Submission,
  servers: readonly KnownServer[],
  asServer: boolean,
): Acceptance | JobProblem[] {
  const catalogues = [...new Map(servers.map((server) => [server.definitionsHash, server])).values()];
  const [preferred] = submission.alternatives;
  if (catalogues.length === 0) {
    const one = judgeOn(submission, preferred, undefined);
    const { errors } = one.validation;
    return errors.length === 0 ? one : explain(submission, preferred, errors);
  }
  const refusals: Refusal[] = [];
  let taken: Acceptance | undefined;
  for (const alternative of submission.alternatives) {
    let accepted: Acceptance | undefined;
    for (const catalogue of catalogues) {
      if (!has(catalogue.objectInfo, alternative.classTypes)) continue;
      const one = judgeOn(submission, alternative, catalogue, asServer);
      const { errors, notChecked } = one.validation;
      if (errors.length > 0) {
        const noticed = asServer ? noticedByServer(errors, one.workflow, catalogue) : errors;
        if (noticed.length === 0) taken ??= { ...one, mustFail: true };
        refusals.push({ alternative, errors: noticed, objectInfo: catalogue.objectInfo });
      } else if (notChecked === undefined) return one;
      else accepted ??= one;
    }
    if (accepted !== undefined) return accepted;
  }
  if (taken !== undefined) return taken;
  return refusals.length === 0
    ? explainMissingEnding(
        submission,
        catalogues.map(({ objectInfo }) => objectInfo),
      )
    : explainRefusals(submission, refusals);
}

type Catalogue = Pick<KnownServer, "objectInfo" | "replacements">;

interface Refusal {
  alternative: Alternative;
  errors: GraphProblem[];
  objectInfo: ObjectInfo;
}

function judgeOn(
  submission: Submission,
  alternative: Alternative,
  catalogue: Catalogue | undefined,
  asServer = false,
): Acceptance {
  const given = alternative.graph().workflow;
  const { objectInfo, replacements = {} } = catalogue ?? {};
  if (objectInfo === undefined || !submission.isRaw) {
    const validation = validateGraph(given, objectInfo);
    return { alternative, workflow: given, wrapped: [], replaced: [], objectInfo, validation };
  }
  // A server takes bare lists for links.
  const { workflow, wrapped } = asServer ? { workflow: given, wrapped: [] } : wrapLists(given, objectInfo);
  // A server replaces nodes of classes that it no longer has, and judges the resulting graph.
  const substituted = replaceNodes(workflow, replacements, objectInfo);
  const validation = validateGraph(substituted.workflow, objectInfo);
  validation.errors.push(...substituted.missing.map(problemOfReplacement));
  return { alternative, workflow, wrapped, replaced: substituted.replaced, objectInfo, validation };
}

function problemOfReplacement(missing: ReplacedGraph["missing"][number]): GraphProblem {
  const { nodeId, oldClass, newClass, input } = missing;
  return {
    code: "required_input_missing",
    nodeId,
    classType: oldClass,
    input,
    message: `Node ${nodeId} (${oldClass}), ${input}: it is required; the server replaces this node by a ${newClass}, and needs this input for it.`,
  };
}

/** What is stored for an accepted submission, and what its client is told. */
export function resolved(
  submission: Submission,
  acceptance: Acceptance,
): Omit<ResolvedWorkflow, "uploadIds" | "inputs"> {
  const { alternative, workflow, objectInfo, validation } = acceptance;
  const notChecked = (validation.notChecked ?? []).map(({ message }) => message);
  // Warnings about a generated graph are left out, because the client cannot change the generator's choices.
  const ofRawGraph = submission.isRaw ? warningsOf(acceptance) : [];
  return {
    workflow: stringifyExactJson(workflow),
    parameters: alternative.parameters,
    secretExtraData: submission.secretExtraData,
    extraDataText: submission.extraDataText,
    warnings: [...submission.warnings, ...ofRawGraph],
    notChecked,
    needs: serverNeedsOf(workflow, objectInfo),
    ...(objectInfo === undefined && { areNeedsGuessed: true }),
    ...(acceptance.mustFail === true && { mustFail: true }),
  };
}

function warningsOf(acceptance: Acceptance): string[] {
  const { alternative, workflow, wrapped, replaced, objectInfo, validation } = acceptance;
  const options = outputOptionsOf(alternative.parameters);
  return [
    ...wrapped.map(
      ({ nodeId, input }) =>
        `Node ${nodeId}, ${input}: the list is sent as {"__value__": […]}, as servers want it.`,
    ),
    ...replaced.map(
      ({ nodeId, oldClass, newClass }) =>
        `Node ${nodeId}: the server no longer has ${oldClass}, and replaces this node by a ${newClass}.`,
    ),
    ...validation.warnings.map((warning) => warning.message),
    warningOfTemporaryOutputs(workflow, objectInfo, options) ?? [],
    warningOfKeptMetadata(workflow, objectInfo, options) ?? [],
  ].flat();
}

/**
 * Returns the problems from the server that refuses the graph for the fewest reasons. The accepted values of a list are
 * those of all servers together.
 */
function explainRefusals(submission: Submission, refusals: Refusal[]): JobProblem[] {
  const closest = refusals.reduce((best, other) => (other.errors.length < best.errors.length ? other : best));
  const errors = closest.errors.map((error, index) => {
    if (error.code !== "value_not_in_list") return error;
    const nearest = index < explainedMax ? nearestOf(error, closest.alternative, refusals) : null;
    if (nearest !== null) return nearest;
    const lists = refusals.flatMap(({ alternative, errors: others }) =>
      alternative === closest.alternative ? others.filter((other) => isSamePlace(other, error)) : [],
    );
    const accepted = lists.flatMap((other) =>
      Array.isArray(other.accepted) ? (other.accepted as unknown[]) : [],
    );
    return { ...error, accepted: [...new Set(accepted)] };
  });
  return explain(submission, closest.alternative, errors);
}

/** In problems beyond these, accepted values are not put in order. */
const explainedMax = 10;
/** A message names at most this many of the nearest names, and `accepted` has at most this many values. */
const nearestMax = { named: 3, listed: 50 } as const;

/** The problem with the choices of all servers that refused the graph, the nearest to the given one first. */
function nearestOf(
  error: GraphProblem,
  alternative: Alternative,
  refusals: readonly Refusal[],
): GraphProblem | null {
  const { nodeId = "", input = "", received, message } = error;
  const node = alternative.graph().workflow[nodeId];
  if (node === undefined || typeof received !== "string") return null;
  const choices = new Set(refusals.flatMap(({ objectInfo }) => choicesOf(node, input, objectInfo) ?? []));
  if (choices.size === 0) return null;
  const nearest = nearestFirst(received, [...choices]);
  const names = nearest.slice(0, nearestMax.named).map((name) => JSON.stringify(name));
  // A short list is in the message already.
  const hint = choices.size > shortList ? ` Nearest: ${names.join(", ")}.` : "";
  return { ...error, message: message + hint, accepted: nearest.slice(0, nearestMax.listed) };
}

/** A message of a graph's problem names this many choices. */
const shortList = 10;

function isSamePlace(one: GraphProblem, other: GraphProblem): boolean {
  return one.code === other.code && one.nodeId === other.nodeId && one.input === other.input;
}

/** Explains that no server has the nodes of any ending, and adds the other problems of the graph. */
function explainMissingEnding(submission: Submission, catalogues: readonly ObjectInfo[]): JobProblem[] {
  const [preferred] = submission.alternatives;
  const refusals = catalogues.map((objectInfo) => ({
    ...{ alternative: preferred, objectInfo },
    errors: validateGraph(preferred.graph().workflow, objectInfo).errors.filter(
      ({ classType }) => classType === undefined || !preferred.classTypes.includes(classType),
    ),
  }));
  return [missingEnding(submission.wanted), ...explainRefusals(submission, refusals)];
}

function explain(submission: Submission, alternative: Alternative, errors: GraphProblem[]): JobProblem[] {
  const graph = alternative.graph();
  const { type, given } = submission;
  const { parameters } = alternative;
  const problems = errors.map((error) =>
    submission.isRaw
      ? problemOfRawGraph(error)
      : problemOfGeneratedGraph(error, { graph, type, given, parameters }),
  );
  // One parameter may set several inputs; its problem is reported once.
  return [...new Map(problems.map((problem) => [`${problem.path} ${problem.message}`, problem])).values()];
}

function has(objectInfo: ObjectInfo, classTypes: readonly string[]): boolean {
  return classTypes.every((classType) => Object.hasOwn(objectInfo, classType));
}
