import { type JobReader } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { foundBatch, foundJob } from "../jobs/found-jobs.ts";
import { json } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";

/** More could neither be drawn nor read. */
const chainJobsMax = 300;

const aboutChains =
  "The jobs that it waits for, directly or not, and those that wait for it, each with the ids of the jobs that it needs itself. " +
  `Up to ${chainJobsMax} jobs; \`isWhole\` = there are no more.`;

const ofChains = {
  tag: "jobs",
  method: "GET",
  access: "read",
  answers: {
    200: { description: "The chain; a job without dependencies stands alone.", content: json("Chain") },
  },
} as const;

type Own = Pick<ApiDependencies, "ownJobs">;

export const getJobChain = route({
  ...ofChains,
  id: "getJobChain",
  path: "jobs/:id/chain",
  subject: "job",
  summary: "The chain of jobs in which a job stands",
  description: aboutChains,
  problems: ["job-not-found", "job-removed"],
  handler: async ({ id, principal }, { ownJobs }: Own) => {
    const jobs = ownJobs(principal);
    return { json: await chainOf(jobs, { jobId: (await foundJob(jobs, id)).id }) };
  },
});

export const getBatchChain = route({
  ...ofChains,
  id: "getBatchChain",
  path: "batches/:id/chain",
  subject: "batch",
  summary: "The chains in which jobs of a batch stand",
  description: `${aboutChains} Jobs of the batch without dependencies are left out.`,
  problems: ["batch-not-found", "batch-removed"],
  handler: async ({ id, principal }, { ownJobs }: Own) => {
    const jobs = ownJobs(principal);
    return { json: await chainOf(jobs, { batchId: (await foundBatch(jobs, id)).id }) };
  },
});

async function chainOf(
  jobs: ReturnType<JobReader["of"]>,
  of: { jobId: string } | { batchId: string },
): Promise<AnswerOf<"Chain">> {
  const found = await jobs.listChain(of, chainJobsMax + 1);
  return { jobs: found.slice(0, chainJobsMax), isWhole: found.length <= chainJobsMax };
}
