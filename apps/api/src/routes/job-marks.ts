import { RefusedError } from "../http/problem-document.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";

type Parts = Pick<ApiDependencies, "ownJobs" | "jobMarks">;

const marking = { tag: "change", method: "PUT", access: "submit" } as const;
const bodyProblems = ["missing-field", "invalid-field", "unknown-field", "invalid-request"] as const;

export const markJob = route({
  ...marking,
  id: "markJob",
  path: "jobs/:id/mark",
  subject: "job",
  summary: "Pick or reject a job",
  description:
    "Marks are for people who choose among pictures: everybody of the tenant sees them, and lists can be filtered by them. They " +
    "change nothing else. The latest mark counts; null takes it away.",
  body: jsonObject("NewMark"),
  answers: { 200: { description: "The mark as it is now.", content: json("JobMark") } },
  problems: ["job-not-found", "job-removed", ...bodyProblems],
  handler: async ({ id, body: { mark }, principal }, { ownJobs, jobMarks }: Parts) => {
    const jobs = ownJobs(principal);
    await foundJob(jobs, id);
    const [marked] = await jobMarks.markJobs(principal.tenant.id, [id], mark, principal.keyName);
    // It was removed meanwhile.
    if (marked === undefined) throw new RefusedError("job-removed", "The job was removed.");
    return { json: { id, mark } };
  },
});

export const markJobs = route({
  ...marking,
  id: "markJobs",
  path: "job-marks",
  summary: "Pick or reject many jobs",
  description: "As for one job. Ids that are not those of jobs of the tenant are passed over, and named.",
  body: jsonObject("NewMarks"),
  answers: { 200: { description: "Which of the jobs have the mark now.", content: json("JobMarks") } },
  problems: [...bodyProblems, "out-of-bounds"],
  handler: async ({ body: { jobs, mark }, principal }, { jobMarks }: Pick<Parts, "jobMarks">) => {
    const marked = await jobMarks.markJobs(principal.tenant.id, jobs, mark, principal.keyName);
    const known = new Set(marked);
    return { json: { mark, marked, unknown: jobs.filter((id) => !known.has(id.toLowerCase())) } };
  },
});
