import { toClientJsonText } from "@genga/comfyui";
import { type Request, type Response } from "express";
import { principalOf } from "../access/access.ts";
import { baseUrlOf } from "../http/base-url.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { viewOfAttempt, viewOfOutput } from "../jobs/job-view.ts";
import { jsonBody } from "../http/json-body.ts";
import { RefusedError } from "../http/problem-document.ts";
import { foundJob, foundParameters } from "../jobs/found-jobs.ts";
import { onlookerOf } from "../jobs/onlooker.ts";
import { idOf, readJobsQuery } from "../http/request-values.ts";
import { readRetry } from "../submissions/submission-body.ts";

/** Everything about one job but its outputs' bytes and its events. `job/{id}` is the predecessor's path. */
export function addJobRoutes(routes: GuardedRoutes, dependencies: ApiDependencies): void {
  const { ownJobs, jobCommands, jobDetails } = dependencies;

  const show = async (request: Request, response: Response): Promise<void> => {
    const job = await foundJob(ownJobs(response), idOf(request));
    response.json(await jobDetails.of(job, onlookerOf(response)));
  };
  routes.resource("job/:id", { get: show });
  routes.resource("jobs/:id", {
    get: show,
    delete: async (request, response) => {
      await jobCommands(response).remove(idOf(request));
      response.status(204).end();
    },
  });

  routes.resource("jobs", {
    get: async (request, response) => {
      const { items, nextCursor } = await ownJobs(response).listJobs(readJobsQuery(request));
      response.json({ jobs: await jobDetails.viewsOf(items, onlookerOf(response)), nextCursor });
    },
  });

  routes.resource("jobs/:id/parameters", {
    get: async (request, response) => {
      const jobs = ownJobs(response);
      const job = await foundJob(jobs, idOf(request));
      const { parameters } = await foundParameters(jobs, job);
      response.json({ id: job.id, type: job.type, parameters });
    },
  });
  routes.resource("jobs/:id/workflow", {
    get: async (request, response) => {
      const jobs = ownJobs(response);
      const { workflow } = await foundParameters(jobs, await foundJob(jobs, idOf(request)));
      response.type("json").send(toClientJsonText(workflow));
    },
  });
  routes.resource("jobs/:id/outputs", {
    get: async (request, response) => {
      const jobs = ownJobs(response);
      const job = await foundJob(jobs, idOf(request));
      const outputs = await jobs.listOutputs(job.id);
      const views = outputs.map((output) => viewOfOutput(output, baseUrlOf(response)));
      response.json({ id: job.id, status: job.status, outputs: views });
    },
  });

  routes.resource("jobs/:id/attempts", {
    get: async (request, response) => {
      const jobs = ownJobs(response);
      const job = await foundJob(jobs, idOf(request));
      const sight = await jobDetails.sightOf(principalOf(response));
      const views = (await jobs.listAttempts(job.id)).map((attempt) => viewOfAttempt(attempt, sight));
      response.json({ id: job.id, status: job.status, attempts: views });
    },
  });

  routes.resource("jobs/:id/cancel", {
    post: async (request, response) => {
      const result = await jobCommands(response).requestCancel(idOf(request));
      if (result.outcome === "ended") {
        throw new RefusedError("job-already-ended", `The job is ${result.job.status} already.`);
      }
      response.status(202).json(await jobDetails.of(result.job, onlookerOf(response)));
    },
  });
  routes.resource("jobs/:id/retry", {
    body: jsonBody({ isOptional: true }),
    post: async (request, response) => {
      const job = await jobCommands(response).retry(idOf(request), readRetry(request.body));
      response.status(202).json(await jobDetails.of(job, onlookerOf(response)));
    },
  });
}
