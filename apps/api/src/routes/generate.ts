import { type Job, type JobPrompt } from "@genga/jobs";
import { type Response } from "express";
import { baseUrlOf } from "../http/base-url.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { jsonBody } from "../http/json-body.ts";
import { linksOfJob } from "../jobs/job-view.ts";
import { readSubmission, type ReadSubmission } from "../submissions/submission-body.ts";

/** `POST generate`, `generate/image`, `generate/video`: one job, accepted when the answer is sent. */
export function addGenerateRoutes(routes: GuardedRoutes, dependencies: ApiDependencies): void {
  const accept = async (response: Response, submission: ReadSubmission): Promise<void> => {
    const { job, prompt, ...remarks } = await dependencies.jobCommands(response).create(submission);
    dependencies.metrics.jobsAccepted.inc({ type: job.type });
    const accepted = viewOfAccepted(job, prompt, baseUrlOf(response));
    response
      .status(202)
      .location(accepted.links["self"] ?? "")
      .json({ ...accepted, ...remarks });
  };
  routes.resource("generate", {
    body: jsonBody(),
    post: (request, response) => accept(response, readSubmission(request.body)),
  });
  routes.resource("generate/image", {
    body: jsonBody(),
    post: (request, response) => accept(response, readSubmission(request.body, "image")),
  });
  routes.resource("generate/video", {
    body: jsonBody(),
    post: (request, response) => accept(response, readSubmission(request.body, "video")),
  });
}

/** What an accepted job is answered with. */
export function viewOfAccepted(
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
