import { InvalidJobError, type IdempotencyClaim, type Job, type JobType, type Principal } from "@genga/jobs";
import { readComfyJob } from "../comfy-api/read-comfy-job.ts";
import { parseJsonBytes, textOf } from "../http/json-body.ts";
import { type JobCommands } from "../submissions/job-commands.ts";
import { readBatchRerun } from "../submissions/batch-rerun.ts";
import { readRerun } from "../submissions/rerun-body.ts";
import { readBatch, readSubmission } from "../submissions/submission-body.ts";
import { describeValues, type Sweep } from "../submissions/sweep.ts";
import { answerOfBatch, answerOfDryRun, answerOfJob, type AnswerBytes } from "./accepted-answer.ts";
import { readJobLines } from "./job-lines.ts";

/** A request that submits jobs: its bytes, and who sent them. */
export type Submission = {
  body: Uint8Array<ArrayBuffer>;
  principal: Principal;
  /** Where links begin. */
  baseUrl: string;
  /** The request's Idempotency-Key. */
  idempotencyKey?: string | undefined;
  /** The request's place in a distributed trace. */
  traceparent?: string | undefined;
} & (
  | { kind: "job"; type: JobType | undefined }
  /** A job as the Comfy API v2 has it. */
  | { kind: "comfy-job" }
  /** A prompt in ComfyUI's protocol. */
  | { kind: "prompt" }
  /** `of`: the id of the job that is made again */
  | { kind: "rerun"; of: string }
  /** `of`: the id of the batch of which jobs are made again */
  | { kind: "batch-rerun"; of: string }
  /** `fields`: what the query says of the batch, as its body might */
  | { kind: "batch"; fields: Readonly<Record<string, unknown>>; isLines: boolean }
);

/** What the jobs of an accepted submission are answered with. */
export interface AcceptedSubmission extends AnswerBytes {
  /** The accepted jobs; none if the answer was given before. */
  jobs: Partial<Record<JobType, number>>;
  /** The job of a submission by the Comfy API v2, as it was stored. */
  job?: Job;
  isReplayed?: true;
  /** Nothing was stored. */
  isDryRun?: true;
  /** Of a prompt that was refused in the words of a server. */
  status?: 400;
}

/** Members and items of all jobs of a batch: 10,000 graphs of 200 values each. */
const batchValuesMax = 2_000_000;

/**
 * Reads the body, has its jobs accepted, and says what they are answered with.
 * @throws RefusedError @throws InvalidJobError @throws LimitReachedError @throws StoreUnavailableError
 */
export async function answerSubmission(
  submission: Exclude<Submission, { kind: "prompt" }>,
  jobCommands: (principal: Principal, traceparent?: string) => JobCommands,
  claim?: IdempotencyClaim,
): Promise<AcceptedSubmission> {
  const commands = jobCommands(submission.principal, submission.traceparent);
  const { baseUrl } = submission;
  if (submission.kind === "job" || submission.kind === "comfy-job" || submission.kind === "rerun") {
    const { job, prompt, ...remarks } = await acceptJob(submission, commands, claim);
    const prompts = new Map([[job.id, prompt]]);
    return {
      ...answerOfJob(job, { prompts, baseUrl, remarks }),
      jobs: { [job.type]: 1 },
      ...(submission.kind === "comfy-job" && { job }),
    };
  }
  // What was read of the body is out of memory before the answer is made, which takes as much once more.
  const accepted =
    submission.kind === "batch"
      ? await acceptBatch(submission, commands, claim)
      : await commands.rerunBatch(submission.of, readBatchRerun(await parsed(submission.body)), claim);
  if ("isDryRun" in accepted) return accepted;
  const { id, name, jobs, prompts: inOrder, ...remarks } = accepted;
  const prompts = new Map(jobs.map((job, index) => [job.id, inOrder[index]]));
  const counts: Partial<Record<JobType, number>> = {};
  for (const { type } of jobs) counts[type] = (counts[type] ?? 0) + 1;
  const batch = { id, name, total: jobs.length, jobs };
  return { ...answerOfBatch(batch, { prompts, baseUrl, remarks }), jobs: counts };
}

async function acceptJob(
  submission: Submission & { kind: "job" | "comfy-job" | "rerun" },
  commands: JobCommands,
  claim?: IdempotencyClaim,
): ReturnType<JobCommands["create"]> {
  const body = await parsed(submission.body);
  if (submission.kind === "rerun") return commands.rerun(submission.of, readRerun(body), claim);
  if (submission.kind === "comfy-job")
    return commands.create(await readComfyJob(body, (ids) => commands.findAssetFiles(ids)), claim);
  const { type: fixedType } = submission;
  const templates = fixedType === undefined ? await commands.findTemplates(body, "job") : undefined;
  return commands.create(
    readSubmission(body, { fixedType, ...(templates !== undefined && { templates }) }),
    claim,
  );
}

type AcceptedBatch = { name: string | null } & Awaited<ReturnType<JobCommands["createBatch"]>>;
type DryRun = AcceptedSubmission & { isDryRun: true };

async function acceptBatch(
  submission: Submission & { kind: "batch" },
  commands: JobCommands,
  claim?: IdempotencyClaim,
): Promise<AcceptedBatch | DryRun> {
  const given = submission.isLines
    ? await readJobLines(textOf(takeBody(submission), batchValuesMax))
    : await parsed(takeBody(submission), batchValuesMax);
  const body = withFields(given, submission.fields);
  const read = readBatch(body, await commands.findTemplates(body, "batch"));
  if (read.isDryRun) {
    const { newJobs, ...remarks } = await namingValues(read.sweep, commands.tryBatch(read));
    return { ...answerOfDryRun(newJobs, read.sweep, remarks), jobs: {}, isDryRun: true };
  }
  return { name: read.name, ...(await namingValues(read.sweep, commands.createBatch(read, claim))) };
}

/** The bytes of the body, which leave memory when they have been read. */
function takeBody(submission: Submission): Uint8Array {
  const { body } = submission;
  submission.body = new Uint8Array();
  return body;
}

/** Problems of a sweep's jobs also say which values these jobs have: the request does not list the jobs. */
async function namingValues<Result>(sweep: Sweep | undefined, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (sweep === undefined || !(error instanceof InvalidJobError)) throw error;
    throw new InvalidJobError(
      error.problems.map((problem) => {
        const index = /^jobs\.(\d+)/.exec(problem.path)?.[1];
        if (index === undefined) return problem;
        const values = describeValues(sweep.valuesAt(Number(index)));
        return { ...problem, message: `${problem.message} (The job with ${values}.)` };
      }),
    );
  }
}

/** An empty body is read as an object without fields, whose refusal says more. */
async function parsed(body: Uint8Array, valuesMax?: number): Promise<unknown> {
  return body.length === 0 ? {} : parseJsonBytes(body, valuesMax === undefined ? {} : { valuesMax });
}

/** The fields of the query, where the body has none of its own. */
function withFields(body: unknown, fields: Readonly<Record<string, unknown>>): unknown {
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  return isObject ? { ...fields, ...body } : body;
}
