import { isTerminal, StoreUnavailableError } from "@genga/jobs";
import { type Request } from "express";
import { sentKeyOf } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { EventStream } from "../http/event-stream.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { viewOfEvent } from "../jobs/job-view.ts";
import { onlookerOf } from "../jobs/onlooker.ts";
import { RefusedError } from "../http/problem-document.ts";
import { idOf } from "../http/request-values.ts";
import { type Sight } from "../access/sight.ts";
import { watchJob } from "../jobs/watch-job.ts";

/** Streams that one process keeps open. */
const streamsMax = 1_000;

/** `GET jobs/{id}/events`: server-sent events, resumable by `Last-Event-ID`. */
export function addJobEventRoutes(routes: GuardedRoutes, dependencies: ApiDependencies): void {
  const { admission, ownJobs, jobDetails, feed, keyWatch, metrics, stopping, watchTimes } = dependencies;
  routes.resource("jobs/:id/events", {
    get: async (request, response) => {
      const jobs = ownJobs(response);
      const job = await foundJob(jobs, idOf(request));
      const lastSequence = lastEventIdOf(request);
      if (isTerminal(job.status) && lastSequence === job.eventSequence) {
        // Nothing can follow: this tells an EventSource to stop connecting again.
        response.status(204).end();
        return;
      }
      if (feed.size >= streamsMax) {
        throw new RefusedError("too-many-streams", `This process has ${streamsMax} event streams open.`, {
          headers: { "retry-after": "10" },
        });
      }
      if (request.method !== "HEAD") await admission.openStream(response);
      const stream = new EventStream(response, stopping);
      if (request.method === "HEAD") {
        stream.end();
        return;
      }
      metrics.eventStreams.inc();
      const unwatchKey = keyWatch.watch(sentKeyOf(request) ?? "", () => {
        stream.endWith("closed", { jobId: job.id, reason: "key-not-valid" });
      });
      try {
        const onlooker = onlookerOf(response);
        const sightNow = latestSight(() => jobDetails.sightOf(onlooker.principal));
        const watched = {
          id: job.id,
          read: () => foundJob(jobs, job.id),
          listEvents: (after: number, limit: number) => jobs.listEvents(job.id, after, limit),
          snapshotOf: (current: typeof job) => jobDetails.of(current, onlooker),
          viewOfEvent: async (event: Parameters<typeof viewOfEvent>[0]) =>
            viewOfEvent(event, await sightNow()),
        };
        await watchJob(stream, feed, watched, { lastSequence, times: watchTimes });
      } finally {
        unwatchKey();
        metrics.eventStreams.dec();
      }
    },
  });
}

/** While the database is away, servers are named as they were known before. */
function latestSight(look: () => Promise<Sight>): () => Promise<Sight> {
  let latest: Sight | undefined;
  return async () => {
    try {
      latest = await look();
    } catch (error) {
      if (latest === undefined || !(error instanceof StoreUnavailableError)) throw error;
    }
    return latest;
  };
}

/** As the browser sends it after a reconnect, or as a query where a client cannot set headers. */
function lastEventIdOf(request: Request): number | null {
  const given = request.headers["last-event-id"] ?? request.query["lastEventId"];
  return typeof given === "string" && /^\d{1,9}$/.test(given) ? Number(given) : null;
}
