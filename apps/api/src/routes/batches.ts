import { type Router } from "express";
import { type ApiDependencies } from "../dependencies.ts";
import { jsonBody } from "../json-body.ts";
import { viewOfBatch } from "../job-view.ts";
import { prefix } from "../paths.ts";
import { idOf } from "../request-values.ts";
import { resource } from "../resource.ts";
import { readBatch } from "../submission-body.ts";
import { viewOfAccepted } from "./generate.ts";

/** `POST batches`: many jobs, all or none; `GET batches/{id}`: how they are doing; and what is done to all of them. */
export function addBatchRoutes(router: Router, dependencies: ApiDependencies): void {
  router.all("/batches", jsonBody());
  resource(router, "/batches", {
    post: async (request, response) => {
      const { name, submissions } = readBatch(request.body);
      const { id, jobs, ...remarks } = await dependencies.ownJobs(response).createBatch(name, submissions);
      for (const { type } of jobs) dependencies.metrics.jobsAccepted.inc({ type });
      const links = { self: `${prefix}/batches/${id}`, jobs: `${prefix}/jobs?batch=${id}` };
      response.status(202).location(links.self);
      response.json({ id, name, total: jobs.length, jobs: jobs.map(viewOfAccepted), links, ...remarks });
    },
  });
  resource(router, "/batches/:id", {
    get: async (request, response) => {
      response.json(viewOfBatch(await dependencies.ownJobs(response).findBatch(idOf(request))));
    },
  });
  resource(router, "/batches/:id/cancel", {
    post: async (request, response) => {
      const jobs = dependencies.ownJobs(response);
      const { cancelled, requested } = await jobs.cancelBatch(idOf(request));
      response
        .status(202)
        .json({ ...viewOfBatch(await jobs.findBatch(idOf(request))), cancelled, requested });
    },
  });
  resource(router, "/batches/:id/retry", {
    post: async (request, response) => {
      const jobs = dependencies.ownJobs(response);
      const retried = await jobs.retryBatch(idOf(request));
      response.status(202).json({ ...viewOfBatch(await jobs.findBatch(idOf(request))), retried });
    },
  });
}
