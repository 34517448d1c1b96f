import { type Job, type JobEvent } from "@genga/jobs";
import { ComfyJobStream } from "../comfy-api/comfy-job-stream.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { latestSight } from "../access/sight.ts";
import { comfyApiPrefix } from "../http/paths.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { openEventStream, type StreamParts } from "../jobs/open-event-stream.ts";
import { viewOfEvent } from "../jobs/job-view.ts";
import { watchedPreviews } from "../jobs/preview-view.ts";
import { watchJob } from "../jobs/watch-job.ts";
import { alreadySent, route } from "../routing/route.ts";

type Parts = StreamParts &
  Pick<ApiDependencies, "ownJobs" | "jobDetails" | "comfyJobs" | "feed" | "watchTimes" | "livePreviews">;

/** Server-sent events without ids: whoever connects again is told the state first. */
export const watchComfyJob = route({
  id: "watchComfyJob",
  tag: "jobs",
  method: "GET",
  path: `${comfyApiPrefix}/jobs/:id/events`,
  access: "read",
  subject: "job",
  summary: "What happens to a job, live",
  answers: {
    200: { description: "The stream.", content: { "text/event-stream": { schema: { type: "string" } } } },
  },
  handler: async (
    { id, principal, baseUrl, request, response },
    parts: Parts,
  ): Promise<typeof alreadySent> => {
    const { ownJobs, jobDetails, comfyJobs, feed, watchTimes, livePreviews } = parts;
    const jobs = ownJobs(principal);
    const job = await foundJob(jobs, id);
    await openEventStream({ request, response }, parts, { jobId: job.id }, async (stream) => {
      const told = new ComfyJobStream(stream, {
        outputs: () => comfyJobs.outputsOf(job, baseUrl),
        nodeClassOf: comfyJobs.nodeClassesOf(job),
        positionOf: (current) => comfyJobs.positionOf(current),
        // Counting costs more than a look.
        positionEveryMs: 3 * watchTimes.lookMaxMs,
        picture: (attempt) => livePreviews.latest(job.id, attempt, stream.closed),
      });
      const sightNow = latestSight(() => jobDetails.sightOf(principal));
      const watched = {
        job,
        read: async (): Promise<Job> => {
          const current = await foundJob(jobs, job.id);
          await told.notePosition(current);
          return current;
        },
        listEvents: (after: number, limit: number) => jobs.listEvents(job.id, after, limit),
        // The stream makes of it what the Comfy API v2 says first.
        snapshotOf: (current: Job) => Promise.resolve(current),
        previews: watchedPreviews(job.id, livePreviews, baseUrl),
        viewOfEvent: async (event: JobEvent) => viewOfEvent(event, await sightNow()),
      };
      await watchJob(told, feed, watched, { lastSequence: null, times: watchTimes });
    });
    return alreadySent;
  },
});
