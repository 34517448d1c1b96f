import { type NotChecked, type Workflow } from "@genga/comfyui";
import {
  InvalidJobError,
  type JobType,
  type JudgedSubmitter,
  type NamedClass,
  type ResolvedWorkflow,
  type Submitter,
  type UploadFinder,
  type WorkflowResolver,
} from "@genga/jobs";
import { judge, resolved, type KnownServer } from "./judge-submission.ts";
import { problemsOfJson } from "../parameters/json-limits.ts";
import { standInsOf, withOutputsShown } from "../uploads/output-stand-ins.ts";
import { assertOwnNames, findNamedUploads } from "../uploads/named-uploads.ts";
import { assertAllowedClasses, type NodeClassRules } from "./node-class-rules.ts";
import { readSubmission } from "./submission.ts";
import { Turns } from "../uploads/turns.ts";
import { lookUpUploads } from "../uploads/uploads-of-batch.ts";

export interface WorkflowResolverOptions {
  /** Returns the known servers. The resolver calls this for every job, so it must mostly answer from memory. */
  definitions: () => Promise<readonly KnownServer[]>;
  /**
   * Reads the servers' node definitions again, and resolves when that is done or takes too long. The resolver calls it
   * before it refuses a job because of the definitions, since the missing model may just have been added.
   */
  refresh?: () => Promise<void>;
  /**
   * Called with the parts of an accepted graph that only the servers can judge, because their definitions describe them
   * in a way that Genga does not know.
   */
  onNotChecked?: (notes: readonly NotChecked[]) => void;
  /** Finds the uploads that parameters and graphs name. Absent: there are no uploads. */
  uploads?: UploadFinder;
  /** The rules for node classes in clients' graphs. Absent: every class is allowed. */
  nodeClasses?: NodeClassRules;
}

const noFinder: UploadFinder = {
  findUploads: () => Promise.resolve([]),
  findUploadsByContent: () => Promise.resolve([]),
};

/** The shortest time between two refreshes that refusals cause. */
const refreshIntervalMs = 3_000;

/**
 * Turns submissions into graphs that at least one known server can run. While no server is known, only the shape of
 * a graph is judged; its nodes and models are then judged by the server that runs it.
 */
export function createWorkflowResolver(options: WorkflowResolverOptions): WorkflowResolver {
  const { uploads, nodeClasses } = options;
  const refresh = atMostEvery(refreshIntervalMs, options.refresh ?? (() => Promise.resolve()));
  const turns = new Turns();
  return {
    async lookUpUploads(parameters: readonly unknown[], tenantId: string): Promise<UploadFinder> {
      return uploads === undefined ? noFinder : await lookUpUploads(parameters, uploads, tenantId);
    },
    async resolve(
      type: JobType,
      parameters: unknown,
      submitter?: JudgedSubmitter,
      known: UploadFinder | undefined = uploads,
      requires: readonly string[] = [],
    ): Promise<ResolvedWorkflow> {
      const tenantId = submitter?.tenantId;
      if (turns.isOver) await turns.next();
      const unstorable = problemsOfJson(parameters);
      if (unstorable.length > 0) throw new InvalidJobError(unstorable);
      const standIns = standInsOf(type, parameters);
      const { inputs } = standIns;
      const named = await findNamedUploads(parameters, known, tenantId);
      const submission = readSubmission(
        type,
        standIns.parameters,
        inputs.length === 0 ? named : new Map([...named, ...standIns.uploads]),
      );
      const ownNames = {
        ...{ store: known, tenantId, standIns: new Set(inputs.map(({ name }) => name)) },
        servers: options.definitions,
      };
      const uploadIds = submission.isRaw
        ? await assertOwnNames(submission.alternatives[0].graph().workflow, ownNames, turns)
        : [...named.keys()];
      const judgeNow = async (): Promise<ReturnType<typeof judge>> => {
        const servers = await options.definitions();
        if (submission.isRaw && nodeClasses !== undefined && submitter?.operates !== true)
          assertAllowedClasses(classesOf(submission.alternatives[0].graph().workflow), servers, nodeClasses);
        return judge(submission, servers, requires, submitter?.asServer);
      };
      let verdict = await judgeNow();
      if (Array.isArray(verdict)) {
        await refresh();
        verdict = await judgeNow();
      }
      if (Array.isArray(verdict)) throw new InvalidJobError(verdict);
      const notChecked = verdict.validation.notChecked ?? [];
      if (notChecked.length > 0) options.onNotChecked?.(notChecked);
      const accepted = resolved(submission, verdict);
      const shown = submission.isRaw ? withOutputsShown(accepted.parameters, inputs) : accepted.parameters;
      return { ...accepted, parameters: shown, uploadIds, inputs };
    },
    async assertAllowedNodes(nodes: readonly NamedClass[], submitter: Submitter): Promise<void> {
      if (nodeClasses === undefined || submitter.operates) return;
      assertAllowedClasses(nodes, await options.definitions(), nodeClasses);
    },
  };
}

function classesOf(workflow: Workflow): NamedClass[] {
  return Object.entries(workflow).map(([nodeId, { class_type: classType }]) => ({ nodeId, classType }));
}

/**
 * Limits how often an action runs: a call during a run waits for that run, and a call soon after a run returns at once.
 */
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
