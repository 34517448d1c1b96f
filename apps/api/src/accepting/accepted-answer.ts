import { type Job, type JobPrompt, type Remarks } from "@genga/jobs";
import { prefix } from "../http/paths.ts";
import { linksOfJob } from "../jobs/job-view.ts";

/** The answer to an accepted submission, written already. */
export interface AnswerBytes {
  location: string;
  /** JSON. */
  answer: Uint8Array<ArrayBuffer>;
}

interface Said {
  prompts: ReadonlyMap<string, JobPrompt | undefined>;
  /** Where links begin. */
  baseUrl: string;
  remarks: Remarks;
}

export function answerOfJob(job: Job, { prompts, baseUrl, remarks }: Said): AnswerBytes {
  const view = viewOfAccepted(job, prompts.get(job.id), baseUrl);
  return { location: view.links["self"] ?? "", answer: toBytes({ ...view, ...remarks }) };
}

export function answerOfBatch(
  { id, name, total, jobs }: { id: string; name: string | null; total: number; jobs: Job[] },
  { prompts, baseUrl, remarks }: Said,
): AnswerBytes {
  const api = `${baseUrl}${prefix}`;
  const links = { self: `${api}/batches/${id}`, jobs: `${api}/jobs?batch=${id}` };
  const views = jobs.map((job) => viewOfAccepted(job, prompts.get(job.id), baseUrl));
  return { location: links.self, answer: toBytes({ id, name, total, jobs: views, links, ...remarks }) };
}

/** A job as it is at the moment of its acceptance, whatever became of it since. */
function viewOfAccepted(
  job: Job,
  prompt: JobPrompt | undefined,
  baseUrl: string,
): Pick<Job, "id" | "status"> & JobPrompt & { links: Record<string, string> } {
  const atAcceptance = { ...job, status: "queued" } as const;
  return {
    ...{ id: job.id, status: "queued" },
    ...{ prompt: prompt?.prompt ?? null, negativePrompt: prompt?.negativePrompt ?? null },
    links: linksOfJob(atAcceptance, baseUrl),
  };
}

function toBytes(value: object): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(value)));
}
