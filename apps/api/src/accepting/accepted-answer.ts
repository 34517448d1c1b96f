import { stringifyExactJson } from "@genga/comfyui";
import { promptOf, type Job, type JobPrompt, type JobType, type NewJob, type Remarks } from "@genga/jobs";
import { prefix } from "../http/paths.ts";
import { type Sweep } from "../submissions/sweep.ts";
import { type PromptAnswer } from "../comfyui-door/accept-prompt.ts";
import { linksOfJob } from "../jobs/job-view.ts";

/** The answer to an accepted submission, written already. */
export interface AnswerBytes {
  /** Empty if nothing was stored. */
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

/** What a client of ComfyUI's protocol is answered. */
export function answerOfPrompt(
  answer: PromptAnswer,
): AnswerBytes & { jobs: Partial<Record<JobType, number>>; status?: 400 } {
  // What was given is shown with its digits.
  const bytes = { location: "", answer: new Uint8Array(Buffer.from(stringifyExactJson(answer.body))) };
  if (answer.status === 400) return { ...bytes, jobs: {}, status: 400 };
  return { ...bytes, jobs: answer.job === null ? {} : { [answer.job.type]: 1 } };
}

/** How many jobs of a dry run are shown. */
const shownMax = 10;

/** @param sweep whose jobs these are; absent = they were listed */
export function answerOfDryRun(newJobs: NewJob[], sweep: Sweep | undefined, remarks: Remarks): AnswerBytes {
  const jobs = newJobs.slice(0, shownMax).map((job, index) => {
    const { prompt, negativePrompt } = promptOf(job);
    const { type, priority, project, scene, shot, tags } = job;
    const values = sweep?.valuesAt(index) ?? {};
    return { index, type, prompt, negativePrompt, priority, project, scene, shot, tags, values };
  });
  return { location: "", answer: toBytes({ dryRun: true, total: newJobs.length, jobs, ...remarks }) };
}

/** A job as it is at the moment of its acceptance, whatever became of it since. */
function viewOfAccepted(
  job: Job,
  prompt: JobPrompt | undefined,
  baseUrl: string,
): Pick<Job, "id" | "status"> &
  Partial<Pick<Job, "template">> &
  JobPrompt & { reusedFrom?: string; links: Record<string, string> } {
  const { id, reusedFrom } = job;
  const status = reusedFrom === null ? "queued" : "completed";
  return {
    ...{ id, status },
    ...{ prompt: prompt?.prompt ?? null, negativePrompt: prompt?.negativePrompt ?? null },
    ...(job.template !== null && { template: job.template }),
    ...(reusedFrom !== null && { reusedFrom }),
    links: linksOfJob({ ...job, status }, baseUrl),
  };
}

function toBytes(value: object): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(value);
  // Not from the pool that small buffers share: the thread moves these bytes to the main thread.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
