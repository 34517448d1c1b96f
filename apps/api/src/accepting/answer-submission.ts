import { type Job, type JobPrompt, type JobType, type Principal } from "@genga/jobs";
import { parseJsonBytes, parseJsonText, textOf } from "../http/json-body.ts";
import { prefix } from "../http/paths.ts";
import { RefusedError } from "../http/problem-document.ts";
import { linksOfJob } from "../jobs/job-view.ts";
import { type JobCommands } from "../submissions/job-commands.ts";
import { readBatch, readSubmission } from "../submissions/submission-body.ts";

/** A request that submits jobs: its bytes, and who sent them. */
export type Submission = {
  body: Uint8Array<ArrayBuffer>;
  principal: Principal;
  /** Where links begin. */
  baseUrl: string;
} & (
  { kind: "job"; type: JobType | undefined } | { kind: "batch"; name: string | undefined; isLines: boolean }
);

/** What the jobs of an accepted submission are answered with. */
export interface AcceptedSubmission {
  location: string;
  /** JSON. */
  answer: Uint8Array<ArrayBuffer>;
  jobs: Partial<Record<JobType, number>>;
}

/** Members and items of all jobs of a batch: 10,000 graphs of 200 values each. */
const batchValuesMax = 2_000_000;

/**
 * Reads the body, has its jobs accepted, and says what they are answered with.
 * @throws RefusedError @throws InvalidJobError @throws LimitReachedError @throws StoreUnavailableError
 */
export async function answerSubmission(
  submission: Submission,
  jobCommands: (principal: Principal) => JobCommands,
): Promise<AcceptedSubmission> {
  const commands = jobCommands(submission.principal);
  const { body, baseUrl } = submission;
  if (submission.kind === "job") {
    const read = readSubmission(await parsed(body), submission.type);
    const { job, prompt, ...remarks } = await commands.create(read);
    const view = viewOfAccepted(job, prompt, baseUrl);
    return {
      location: view.links["self"] ?? "",
      answer: toBytes({ ...view, ...remarks }),
      jobs: { [job.type]: 1 },
    };
  }
  const given = submission.isLines ? await jobsOfLines(body) : await parsed(body, batchValuesMax);
  const { name, submissions } = readBatch(withName(given, submission.name));
  const { id, jobs, prompts, ...remarks } = await commands.createBatch(name, submissions);
  const api = `${baseUrl}${prefix}`;
  const links = { self: `${api}/batches/${id}`, jobs: `${api}/jobs?batch=${id}` };
  const views = jobs.map((job, index) => viewOfAccepted(job, prompts[index], baseUrl));
  const counts: Partial<Record<JobType, number>> = {};
  for (const { type } of jobs) counts[type] = (counts[type] ?? 0) + 1;
  return {
    ...{ location: links.self, jobs: counts },
    answer: toBytes({ id, name, total: jobs.length, jobs: views, links, ...remarks }),
  };
}

/** What an accepted job is answered with. */
function viewOfAccepted(
  job: Job,
  prompt: JobPrompt | undefined,
  baseUrl: string,
): Pick<Job, "id" | "status"> & JobPrompt & { links: Record<string, string> } {
  const { id, status } = job;
  return {
    ...{ id, status, prompt: prompt?.prompt ?? null, negativePrompt: prompt?.negativePrompt ?? null },
    links: linksOfJob(job, baseUrl),
  };
}

/** An empty body is read as an object without fields, whose refusal says more. */
async function parsed(body: Uint8Array, valuesMax?: number): Promise<unknown> {
  return body.length === 0 ? {} : parseJsonBytes(body, valuesMax === undefined ? {} : { valuesMax });
}

/** NDJSON: one job a line; empty lines do not count. @throws RefusedError naming the line */
async function jobsOfLines(body: Uint8Array): Promise<{ jobs: unknown[] }> {
  const jobs: unknown[] = [];
  for (const [index, line] of textOf(body, batchValuesMax).split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      jobs.push(await parseJsonText(line));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      throw new RefusedError(error.code, `Line ${index + 1}: ${error.message}`, { cause: error });
    }
  }
  return { jobs };
}

/** The name of the query, for a body that has none. */
function withName(body: unknown, name: string | undefined): unknown {
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  return name === undefined || !isObject ? body : { name, ...body };
}

function toBytes(value: object): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(value)));
}
