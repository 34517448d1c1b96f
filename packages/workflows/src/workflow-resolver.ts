import { setImmediate as nextTurn } from "node:timers/promises";
import { validateGraph, type GraphProblem, type ObjectInfo } from "@genga/comfyui";
import {
  InvalidJobError,
  type JobProblem,
  type JobType,
  type Json,
  type ResolvedWorkflow,
  type UploadStore,
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
}

export interface WorkflowResolverOptions {
  /** The servers that are known now. Called for every job, so it must answer from memory most of the time. */
  definitions: () => Promise<readonly KnownServer[]>;
  /**
   * Has the node definitions read again, and resolves when that is done or has taken too long; called before a job is
   * refused for something that they decide, since the model may just have been added.
   */
  refresh?: () => Promise<void>;
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
      const first = judge(submission, await options.definitions());
      if (!Array.isArray(first)) return first;
      await refresh();
      const second = judge(submission, await options.definitions());
      if (Array.isArray(second)) throw new InvalidJobError(second);
      return second;
    },
  };
}

/** The graph to run, or why nobody can run it. */
function judge(submission: Submission, servers: readonly KnownServer[]): ResolvedWorkflow | JobProblem[] {
  const catalogues = [
    ...new Map(servers.map((server) => [server.definitionsHash, server.objectInfo])).values(),
  ];
  const [preferred] = submission.alternatives;
  if (catalogues.length === 0) {
    const { errors, warnings } = validateGraph(preferred.graph().workflow);
    return errors.length === 0
      ? accept(submission, { alternative: preferred, objectInfo: undefined, warnings })
      : explain(submission, preferred, errors);
  }
  const refusals: Refusal[] = [];
  for (const alternative of submission.alternatives) {
    for (const objectInfo of catalogues) {
      if (!has(objectInfo, alternative.classTypes)) continue;
      const { errors, warnings } = validateGraph(alternative.graph().workflow, objectInfo);
      if (errors.length === 0) return accept(submission, { alternative, objectInfo, warnings });
      refusals.push({ alternative, errors });
    }
  }
  return refusals.length === 0
    ? explainMissingEnding(submission, catalogues)
    : explainRefusals(submission, refusals);
}

interface Refusal {
  alternative: Alternative;
  errors: GraphProblem[];
}

function accept(
  submission: Submission,
  {
    alternative,
    objectInfo,
    warnings,
  }: { alternative: Alternative; objectInfo: ObjectInfo | undefined; warnings: GraphProblem[] },
): ResolvedWorkflow {
  const { workflow } = alternative.graph();
  const { parameters } = alternative;
  // What the generator chose is not the client's to change.
  const ofRawGraph = submission.isRaw
    ? [
        ...warnings.map((warning) => warning.message),
        warningOfTemporaryOutputs(workflow, objectInfo, outputOptionsOf(parameters)) ?? [],
        warningOfKeptMetadata(workflow, objectInfo, outputOptionsOf(parameters)) ?? [],
      ].flat()
    : [];
  return { workflow, parameters, warnings: [...submission.warnings, ...ofRawGraph] };
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
