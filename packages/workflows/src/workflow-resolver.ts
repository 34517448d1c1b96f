import { setImmediate as nextTurn } from "node:timers/promises";
import {
  validateGraph,
  wrapLists,
  type GraphProblem,
  type GraphValidation,
  type NotChecked,
  type NodeReplacements,
  type ObjectInfo,
} from "@genga/comfyui";
import {
  InvalidJobError,
  type JobProblem,
  type JobType,
  type Json,
  type ResolvedWorkflow,
  type UploadStore,
  type Workflow,
  type WorkflowResolver,
} from "@genga/jobs";
import { problemOfGeneratedGraph, problemOfRawGraph } from "./graph-problems.ts";
import { problemsOfJson } from "./json-limits.ts";
import { assertOwnUploads, findNamedUploads } from "./named-uploads.ts";
import { readSubmission, type Alternative, type Submission } from "./submission.ts";
import { warningOfKeptMetadata } from "./kept-metadata.ts";
import { outputOptionsOf } from "./output-options.ts";
import { warningOfTemporaryOutputs } from "./temporary-outputs.ts";
import { missingEnding } from "./video-endings.ts";

/** A server whose node definitions were read. */
export interface KnownServer {
  id: string;
  /** Servers with the same hash have the same nodes and models, and are asked once. */
  definitionsHash: string;
  objectInfo: ObjectInfo;
  /** What it does to nodes of classes that it no longer has; absent: nothing. */
  replacements?: NodeReplacements;
}

export interface WorkflowResolverOptions {
  /** The servers that are known now. Called for every job, so it must answer from memory most of the time. */
  definitions: () => Promise<readonly KnownServer[]>;
  /**
   * Has the node definitions read again, and resolves when that is done or has taken too long; called before a job is
   * refused for something that they decide, since the model may just have been added.
   */
  refresh?: () => Promise<void>;
  /** Hears what of an accepted graph was left to the servers, since their definitions say what Genga does not know. */
  onNotChecked?: (notes: readonly NotChecked[]) => void;
  /** Where the images are that parameters and graphs name. Absent: nobody has sent any. */
  uploads?: UploadStore;
}

/** A batch of ten thousand must not keep the process from answering others: after so long it lets them. */
const turnMs = 20;

/** How often definitions are read again on behalf of refusals. */
const refreshIntervalMs = 3_000;

/**
 * Turns submissions into graphs that at least one known server can run. While no server is known, only the shape of
 * a graph is judged; its nodes and models are then judged by the server that runs it.
 */
export function createWorkflowResolver(options: WorkflowResolverOptions): WorkflowResolver {
  const { uploads } = options;
  const refresh = atMostEvery(refreshIntervalMs, options.refresh ?? (() => Promise.resolve()));
  let turnStartedAt = performance.now();
  return {
    async resolve(type: JobType, parameters: Json, tenantId?: string): Promise<ResolvedWorkflow> {
      if (performance.now() - turnStartedAt > turnMs) {
        await nextTurn();
        turnStartedAt = performance.now();
      }
      const unstorable = problemsOfJson(parameters);
      if (unstorable.length > 0) throw new InvalidJobError(unstorable);
      const submission = readSubmission(
        type,
        parameters,
        await findNamedUploads(parameters, uploads, tenantId),
      );
      if (submission.isRaw)
        await assertOwnUploads(submission.alternatives[0].graph().workflow, uploads, tenantId);
      let verdict = judge(submission, await options.definitions());
      if (Array.isArray(verdict)) {
        await refresh();
        verdict = judge(submission, await options.definitions());
      }
      if (Array.isArray(verdict)) throw new InvalidJobError(verdict);
      const notChecked = verdict.validation.notChecked ?? [];
      if (notChecked.length > 0) options.onNotChecked?.(notChecked);
      return resolved(submission, verdict);
    },
  };
}

/** A graph that some known server can run, or that no known server forbids. */
interface Acceptance {
  alternative: Alternative;
  /** The graph to run: with lists of values as servers take them. */
  workflow: Workflow;
  wrapped: { nodeId: string; input: string }[];
  validation: GraphValidation;
  /** Absent while no server is known. */
  objectInfo: ObjectInfo | undefined;
}

/** The graph to run, or why nobody can run it. A server that is understood in full goes before one that is not. */
function judge(submission: Submission, servers: readonly KnownServer[]): Acceptance | JobProblem[] {
  const catalogues = [
    ...new Map(servers.map((server) => [server.definitionsHash, server.objectInfo])).values(),
  ];
  const [preferred] = submission.alternatives;
  if (catalogues.length === 0) {
    const one = judgeOn(submission, preferred, undefined);
    const { errors } = one.validation;
    return errors.length === 0 ? one : explain(submission, preferred, errors);
  }
  const refusals: Refusal[] = [];
  for (const alternative of submission.alternatives) {
    let accepted: Acceptance | undefined;
    for (const objectInfo of catalogues) {
      if (!has(objectInfo, alternative.classTypes)) continue;
      const one = judgeOn(submission, alternative, objectInfo);
      const { errors, notChecked } = one.validation;
      if (errors.length > 0) refusals.push({ alternative, errors });
      else if (notChecked === undefined) return one;
      else accepted ??= one;
    }
    if (accepted !== undefined) return accepted;
  }
  return refusals.length === 0
    ? explainMissingEnding(submission, catalogues)
    : explainRefusals(submission, refusals);
}

interface Refusal {
  alternative: Alternative;
  errors: GraphProblem[];
}

function judgeOn(
  submission: Submission,
  alternative: Alternative,
  objectInfo: ObjectInfo | undefined,
): Acceptance {
  const given = alternative.graph().workflow;
  const { workflow, wrapped } =
    submission.isRaw && objectInfo !== undefined
      ? wrapLists(given, objectInfo)
      : { workflow: given, wrapped: [] };
  return { alternative, workflow, wrapped, objectInfo, validation: validateGraph(workflow, objectInfo) };
}

function resolved(submission: Submission, acceptance: Acceptance): ResolvedWorkflow {
  const { alternative, workflow, validation } = acceptance;
  const notChecked = (validation.notChecked ?? []).map(({ message }) => message);
  // What the generator chose is not the client's to change.
  const ofRawGraph = submission.isRaw ? warningsOf(acceptance) : [];
  return {
    workflow,
    parameters: alternative.parameters,
    warnings: [...submission.warnings, ...ofRawGraph],
    notChecked,
  };
}

function warningsOf({ alternative, workflow, wrapped, objectInfo, validation }: Acceptance): string[] {
  const options = outputOptionsOf(alternative.parameters);
  return [
    ...wrapped.map(
      ({ nodeId, input }) =>
        `Node ${nodeId}, ${input}: the list is sent as {"__value__": […]}, as servers want it.`,
    ),
    ...validation.warnings.map((warning) => warning.message),
    warningOfTemporaryOutputs(workflow, objectInfo, options) ?? [],
    warningOfKeptMetadata(workflow, objectInfo, options) ?? [],
  ].flat();
}

/** The server that comes closest says what is missing; lists of what exists are those of all servers together. */
function explainRefusals(submission: Submission, refusals: Refusal[]): JobProblem[] {
  const closest = refusals.reduce((best, other) => (other.errors.length < best.errors.length ? other : best));
  const errors = closest.errors.map((error) => {
    if (error.code !== "value_not_in_list") return error;
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

function isSamePlace(one: GraphProblem, other: GraphProblem): boolean {
  return one.code === other.code && one.nodeId === other.nodeId && one.input === other.input;
}

/** No server has the nodes of any ending; whatever else is wrong is said as well. */
function explainMissingEnding(submission: Submission, catalogues: readonly ObjectInfo[]): JobProblem[] {
  const [preferred] = submission.alternatives;
  const refusals = catalogues.map((objectInfo) => ({
    alternative: preferred,
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
  // One parameter may reach several inputs, and is wrong once.
  return [...new Map(problems.map((problem) => [`${problem.path} ${problem.message}`, problem])).values()];
}

function has(objectInfo: ObjectInfo, classTypes: readonly string[]): boolean {
  return classTypes.every((classType) => Object.hasOwn(objectInfo, classType));
}

/** Calls that come while one is under way share it; calls that come soon after it are answered at once. */
function atMostEvery(intervalMs: number, action: () => Promise<void>): () => Promise<void> {
  let underWay: Promise<void> | undefined;
  let lastEndedAt = -Infinity;
  return async () => {
    if (underWay === undefined && performance.now() - lastEndedAt < intervalMs) return;
    underWay ??= action().finally(() => {
      underWay = undefined;
      lastEndedAt = performance.now();
    });
    await underWay;
  };
}
