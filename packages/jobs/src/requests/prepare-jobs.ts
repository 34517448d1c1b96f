import {
  type JobLabels,
  type JobPriority,
  type JobType,
  type Json,
  type NewJob,
  type NewJobInput,
  type UsedTemplate,
} from "../job/job.ts";
import { remarksOnAll } from "./batch-remarks.ts";
import { laneOf } from "../job/lane.ts";
import { InvalidJobError, type JobProblem } from "../job/job-errors.ts";
import { outputReferencesIn, withJobIds } from "./output-references.ts";
import { placeDependencies, type NamedDependencies, type PlacedJob } from "./place-dependencies.ts";
import { sealExtraData } from "../secrets/extra-data.ts";
import { promptTextOf } from "../job/job-prompt.ts";
import { type UploadFinder } from "../ports/upload-store.ts";
import { type NewWebhook, type SubmittedWebhook } from "../job/webhook.ts";
import { type NewDoorPrompt } from "../job/door-prompt.ts";
import { type SecretBox } from "../secrets/secret-box.ts";
import {
  type Remarks,
  type ResolvedWorkflow,
  type Submitter,
  type WorkflowResolver,
} from "../ports/workflow-resolver.ts";

/** The most problems in a refusal of a batch. */
const problemsMax = 100;

/** The fields that every job may have, besides its parameters. */
export interface JobOptions extends Partial<JobLabels> {
  priority?: JobPriority;
  /** Labels that the job's server must have; each as `isServerLabel` accepts it. */
  requires?: string[];
  /** How many attempts the job gets if a node raises an exception. An attempt whose server was lost does not count. */
  attemptsMax?: number;
  /** Counted from the begin of the execution. */
  timeoutMs?: number;
  /** The job does not begin before this time. */
  runAt?: Date;
  /** A deadline for the queue: the job must have begun to execute by then. */
  expiresAt?: Date;
  /** Answer it from a completed job of the tenant with the same graph, if there is one. */
  reuse?: boolean;
  /** A name by which other jobs of its batch may depend on it. */
  key?: string;
  /** Keys of jobs of its batch, or ids of jobs of its tenant, which must complete first. */
  dependsOn?: string[];
  /** Where the events of this job, or of this batch and its jobs, are sent. */
  webhook?: SubmittedWebhook;
  /** What a client of ComfyUI's protocol said. */
  door?: NewDoorPrompt;
}

export interface JobRequest {
  type: JobType;
  /** What the client sent, parsed from JSON; the resolver validates it. */
  parameters: unknown;
  options?: JobOptions;
  /** It makes another job of its tenant again. */
  rerunOf?: RerunOf;
  /** The template that the parameters were made of. */
  template?: UsedTemplate;
  /** A problem of the parameters, in terms of what the client sent; absent = the client sent the parameters. */
  asSaid?: (problem: JobProblem) => JobProblem;
}

/** The job that is made again, as far as its parameters do not say it. */
export interface RerunOf {
  id: string;
  /** Nothing is changed, so the graph must be this one. Absent = it may be another. */
  graph?: FirstGraph;
  /** Jobs whose outputs it reads, and which were removed. Their files are kept for it. */
  removed?: ReadonlySet<string>;
}

export interface PreparationRules {
  resolver: WorkflowResolver;
  timeoutMsByType: Record<JobType, number>;
  /** Absent when SECRETS_KEY is not set; submissions with secrets are refused then. */
  secretBox?: SecretBox | undefined;
  /** Checks the webhook of a job or batch and encrypts its secret. @throws InvalidJobError */
  newWebhook: (given: SubmittedWebhook, id: string) => NewWebhook;
}

export function labelsOf({
  project = null,
  scene = null,
  shot = null,
  tags = [],
}: Partial<JobLabels>): JobLabels {
  return { project, scene, shot, tags };
}

/** The graph of a job that is made again. */
export interface FirstGraph {
  hash: string;
  /** Parsed from its text. */
  workflow: unknown;
  /** Whether a graph's text means the same, whatever the order of its names. */
  isSame: (text: string) => boolean;
}

/** Makes a job that may be stored. @throws InvalidJobError */
export async function prepareJob(
  rules: PreparationRules,
  request: JobRequest,
  submitter: Submitter,
): Promise<{ newJob: NewJob } & Remarks> {
  try {
    return await prepareOne(rules, request, submitter);
  } catch (error) {
    throw error instanceof InvalidJobError ? new InvalidJobError(problemsAsSaid(request, error)) : error;
  }
}

/** The problems of a request's parameters, in terms of what the client sent. */
export function problemsAsSaid(
  { asSaid = (problem) => problem }: Pick<JobRequest, "asSaid">,
  { problems }: InvalidJobError,
): JobProblem[] {
  return problems.map(asSaid);
}

async function prepareOne(
  rules: PreparationRules,
  request: JobRequest,
  submitter: Submitter,
): Promise<{ newJob: NewJob } & Remarks> {
  const placed = placeDependencies([dependenciesOf(request)]);
  if ("problems" in placed) throw new InvalidJobError(placed.problems.map(({ problem }) => problem));
  const [place] = placed.places;
  if (place === undefined) throw new Error("A job has no place.");
  return await prepareAt(rules, request, submitter, place, null);
}

async function prepareAt(
  rules: PreparationRules,
  request: JobRequest,
  submitter: Submitter,
  { id, dependsOn, idOf }: PlacedJob,
  inBatch: { index: number; uploads: UploadFinder } | null,
): Promise<{ newJob: NewJob } & Remarks> {
  const { type, options = {}, rerunOf } = request;
  const asked = { ...request, parameters: withJobIds(type, request.parameters, idOf) };
  const resolved = await resolve(rules, asked, submitter, inBatch?.uploads);
  const { workflow, parameters, secretExtraData, extraDataText, uploadIds, inputs, needs } = resolved;
  const { warnings, notChecked, areNeedsGuessed: isGuessed = false, mustFail = false } = resolved;
  const requires = [...new Set(options.requires)].sort();
  const newJob: NewJob = {
    id,
    type,
    priority: options.priority ?? "normal",
    lane: { ...laneOf(needs, requires), ...(isGuessed && { isGuessed }) },
    batchIndex: inBatch?.index ?? null,
    ...labelsOf(options),
    requires,
    attemptsMax: options.attemptsMax ?? 1,
    timeoutMs: options.timeoutMs ?? rules.timeoutMsByType[type],
    runAt: options.runAt ?? null,
    expiresAt: options.expiresAt ?? null,
    ...(options.key !== undefined && { key: options.key }),
    ...(dependsOn.length > 0 && { dependsOn }),
    parameters,
    workflow,
    promptText: promptTextOf({ parameters, workflow }),
    uploadIds,
    ...(options.reuse === true && { mayReuse: true }),
    ...(rerunOf !== undefined && { rerunOf: rerunOf.id }),
    ...(submitter.traceparent !== undefined && { traceparent: submitter.traceparent }),
    ...(rerunOf?.graph?.isSame(workflow) === true && { workflowHash: rerunOf.graph.hash }),
    ...(inputs.length > 0 && { inputs: inputs.map((input) => readBy(rerunOf, input)) }),
    ...(request.template !== undefined && { template: request.template }),
    ...(options.door !== undefined && { door: { ...options.door, mustFail } }),
    ...(options.webhook !== undefined && { webhook: rules.newWebhook(options.webhook, id) }),
    ...(extraDataText !== undefined && { extraDataText }),
    ...(secretExtraData !== undefined && {
      sealedExtraData: sealExtraData(rules.secretBox, id, secretExtraData),
    }),
  };
  return { newJob, warnings, notChecked };
}

/**
 * The graph of parameters that are submitted again may differ from the first one, since it depends on what the servers have and
 * on Genga's version. An exact rerun has the first one then, if a server can run it. A client's own graph is judged like a new one.
 */
async function resolve(
  { resolver }: PreparationRules,
  { type, parameters, options, rerunOf }: JobRequest,
  submitter: Submitter,
  uploads: UploadFinder | undefined,
): Promise<ResolvedWorkflow> {
  const graph = rerunOf?.graph;
  const requires = options?.requires;
  if (graph === undefined || type === "workflow")
    return resolver.resolve(
      type,
      parameters,
      { ...submitter, asServer: options?.door !== undefined },
      uploads,
      requires,
    );
  let problem: InvalidJobError | undefined;
  try {
    const resolved = await resolver.resolve(type, parameters, submitter, uploads, requires);
    if (graph.isSame(resolved.workflow)) return resolved;
  } catch (error) {
    if (!(error instanceof InvalidJobError)) throw error;
    problem = error;
  }
  try {
    // The graph is Genga's own, so the rules about classes in the graphs of clients do not hold. Such a job has no extra data.
    const own = { ...submitter, operates: true };
    const resolved = await resolver.resolve("workflow", { workflow: graph.workflow }, own, uploads, requires);
    return { ...resolved, parameters: jsonOf(parameters) };
  } catch (error) {
    throw problem ?? error;
  }
}

/** Stored parameters are JSON. */
function jsonOf(parameters: unknown): Json {
  return JSON.parse(JSON.stringify(parameters)) as Json;
}

function readBy(rerunOf: RerunOf | undefined, input: NewJobInput): NewJobInput {
  return rerunOf?.removed?.has(input.from) === true ? { ...input, copiedFrom: rerunOf.id } : input;
}

/** Makes the jobs of a batch as they will be stored. @throws InvalidJobError with paths such as `jobs.3.width` */
export async function prepareBatch(
  rules: PreparationRules,
  requests: JobRequest[],
  submitter: Submitter,
): Promise<{ newJobs: NewJob[] } & Remarks> {
  const placed = placeDependencies(requests.map(dependenciesOf));
  const problems: JobProblem[] =
    "problems" in placed
      ? placed.problems.map(({ index, problem }) =>
          inJob(index, requests[index]?.asSaid?.(problem) ?? problem),
        )
      : [];
  if ("problems" in placed) throw new InvalidJobError(problems.slice(0, problemsMax));
  const prepared: ({ newJob: NewJob } & Remarks)[] = [];
  const uploads = await rules.resolver.lookUpUploads(
    requests.map(({ parameters }) => parameters),
    submitter.tenantId,
  );
  for (const [index, request] of requests.entries()) {
    const place = placed.places[index];
    if (place === undefined) throw new Error(`Job ${index} has no place.`);
    try {
      prepared.push(await prepareAt(rules, request, submitter, place, { index, uploads }));
    } catch (error) {
      if (!(error instanceof InvalidJobError)) throw error;
      problems.push(...problemsAsSaid(request, error).map((problem) => inJob(index, problem)));
      if (problems.length >= problemsMax) break;
    }
  }
  if (problems.length > 0) throw new InvalidJobError(problems.slice(0, problemsMax));
  return {
    newJobs: prepared.map(({ newJob }) => newJob),
    warnings: remarksOnAll(prepared.map(({ warnings }) => warnings)),
    notChecked: remarksOnAll(prepared.map(({ notChecked }) => notChecked)),
  };
}

function dependenciesOf({ type, parameters, options = {}, rerunOf }: JobRequest): NamedDependencies {
  const { key, dependsOn } = options;
  const references = outputReferencesIn(type, parameters);
  return {
    key,
    dependsOn,
    references: references.filter(({ from }) => rerunOf?.removed?.has(from) !== true),
  };
}

function inJob(index: number, problem: JobProblem): JobProblem {
  return { ...problem, path: `jobs.${index}.${problem.path}` };
}
