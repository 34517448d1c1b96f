import { baseUrlOf } from "../http/base-url.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { jsonBody } from "../http/json-body.ts";
import { foundBatch } from "../jobs/found-jobs.ts";
import { viewOfBatch } from "../jobs/job-view.ts";
import { prefix } from "../http/paths.ts";
import { idOf } from "../http/request-values.ts";
import { readBatch, readRetry } from "../submissions/submission-body.ts";
import { viewOfAccepted } from "./generate.ts";

/** `POST batches`: many jobs, all or none; `GET batches/{id}`: how they are doing; and what is done to all of them. */
export function addBatchRoutes(routes: GuardedRoutes, dependencies: ApiDependencies): void {
  routes.resource("batches", {
    body: jsonBody(),
    post: async (request, response) => {
      const { name, submissions } = readBatch(request.body);
      const accepted = await dependencies.jobCommands(response).createBatch(name, submissions);
      const { id, jobs, prompts, ...remarks } = accepted;
      for (const { type } of jobs) dependencies.metrics.jobsAccepted.inc({ type });
      const baseUrl = baseUrlOf(response);
      const api = `${baseUrl}${prefix}`;
      const links = { self: `${api}/batches/${id}`, jobs: `${api}/jobs?batch=${id}` };
      const views = jobs.map((job, index) => viewOfAccepted(job, prompts[index], baseUrl));
      response.status(202).location(links.self);
      response.json({ id, name, total: jobs.length, jobs: views, links, ...remarks });
    },
  });
  routes.resource("batches/:id", {
    get: async (request, response) => {
      const batch = await foundBatch(dependencies.ownJobs(response), idOf(request));
      response.json(viewOfBatch(batch, baseUrlOf(response)));
    },
  });
  routes.resource("batches/:id/cancel", {
    post: async (request, response) => {
      const commands = dependencies.jobCommands(response);
      const { cancelled, requested } = await commands.cancelBatch(idOf(request));
      const after = await foundBatch(dependencies.ownJobs(response), idOf(request));
      const batch = viewOfBatch(after, baseUrlOf(response));
      response.status(202).json({ ...batch, cancelled, requested });
    },
  });
  routes.resource("batches/:id/retry", {
    body: jsonBody({ isOptional: true }),
    post: async (request, response) => {
      const commands = dependencies.jobCommands(response);
      const retried = await commands.retryBatch(idOf(request), readRetry(request.body));
      const after = await foundBatch(dependencies.ownJobs(response), idOf(request));
      const batch = viewOfBatch(after, baseUrlOf(response));
      response.status(202).json({ ...batch, retried });
    },
  });
}
