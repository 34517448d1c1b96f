import { isTerminal, type JobEvent } from "@genga/jobs";
import { z } from "zod";
import { latestSight } from "../access/sight.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { openEventStream, type StreamParts } from "../jobs/open-event-stream.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { viewOfEvent } from "../jobs/job-view.ts";
import { watchJob as streamJob } from "../jobs/watch-job.ts";
import { watchedPreviews } from "../jobs/preview-view.ts";
import { previewsField } from "./list-queries.ts";
import { alreadySent, route } from "../routing/route.ts";

/** Not as one object of `sentEvent`, which nobody could send: as it goes over the wire. */
const eventStream = [
  'event: snapshot\nid: 4\ndata: {"id": "01a213f0-8c1e-7c42-9a44-6f1f0a5f7d21", "status": "processing", …}\n',
  'event: progress\ndata: {"jobId": "01a213f0-…", "attempt": 1, "phase": "executing", "progress": {"percent": 42, …}}\n',
  'event: event\nid: 5\ndata: {"jobId": "01a213f0-…", "sequence": 5, "type": "completed", …}\n\n',
].join("\n");

/** One event of the stream; OpenAPI 3.1 has no better place for it. */
const sentEvent = {
  type: "object",
  description: "Each event.",
  required: ["event", "data"],
  properties: {
    event: { type: "string", enum: ["snapshot", "event", "progress", "preview", "removed", "closed"] },
    id: { type: "string", pattern: "^[0-9]+$", description: "A sequence." },
    data: {
      type: "string",
      contentMediaType: "application/json",
      contentSchema: {
        anyOf: [
          { $ref: "#/components/schemas/JobDetail" },
          { $ref: "#/components/schemas/JobEvent" },
          {
            type: "object",
            description:
              "Of `progress`: attempt, phase, progress. Of `preview`: attempt, and a link to the new picture. Of `removed`: jobId. Of `closed`: jobId, reason (`key-not-valid`).",
          },
        ],
      },
    },
  },
};

type Parts = StreamParts &
  Pick<ApiDependencies, "ownJobs" | "jobDetails" | "feed" | "watchTimes" | "livePreviews">;

/** Server-sent events, resumable by `Last-Event-ID`. */
export const watchJob = route({
  id: "watchJob",
  tag: "jobs",
  method: "GET",
  path: "jobs/:id/events",
  access: "read",
  subject: "job",
  summary: "What happens to a job, live",
  description:
    "Server-sent events: `snapshot` (a JobDetail) comes first, then `event` (a JobEvent; its id is the sequence, by which " +
    "a client resumes) and `progress` (in between, without an id). The stream ends after the job has ended. `removed` is " +
    "the last thing that is said of a job that is removed meanwhile. `closed` is the last thing that is said under a key that " +
    "was revoked or has expired meanwhile; its reason is `key-not-valid`.",
  query: z.object({
    ...previewsField,
    // Anything else than a sequence is ignored, not refused.
    lastEventId: z
      .unknown()
      .meta({ type: "string", description: "As `Last-Event-ID`, for clients that cannot set headers." })
      .optional(),
  }),
  headers: z.object({
    "Last-Event-ID": z
      .string()
      .optional()
      .describe("The sequence of the last event that was received; what came after it is told first."),
  }),
  answers: {
    200: {
      description: "The stream.",
      content: { "text/event-stream": { schema: sentEvent, example: eventStream } },
    },
    204: {
      description: "The job has ended, and the client has seen its last event: do not connect again.",
    },
  },
  problems: ["job-not-found", "job-removed", "too-many-streams", "invalid-field"],
  handler: async ({ id, query, headers, principal, baseUrl, request, response }, parts: Parts) => {
    const { ownJobs, jobDetails, feed, watchTimes, livePreviews } = parts;
    const jobs = ownJobs(principal);
    const job = await foundJob(jobs, id);
    const lastSequence = sequenceOf(headers["Last-Event-ID"] ?? query.lastEventId);
    // Nothing can follow: this tells an EventSource to stop connecting again.
    if (isTerminal(job.status) && lastSequence === job.eventSequence) return { status: 204 };
    await openEventStream({ request, response }, parts, { jobId: job.id }, async (stream) => {
      const onlooker = { principal, baseUrl };
      const sightNow = latestSight(() => jobDetails.sightOf(principal));
      const watched = {
        job,
        read: () => foundJob(jobs, job.id),
        listEvents: (after: number, limit: number) => jobs.listEvents(job.id, after, limit),
        snapshotOf: (current: typeof job) => jobDetails.of(current, onlooker),
        ...(query.previews === "true" && { previews: watchedPreviews(job.id, livePreviews, baseUrl) }),
        viewOfEvent: async (event: JobEvent) => viewOfEvent(event, await sightNow()),
      };
      await streamJob(stream, feed, watched, { lastSequence, times: watchTimes });
    });
    return alreadySent;
  },
});

/** As the browser sends it after a reconnect, or as a query where a client cannot set headers. */
function sequenceOf(given: unknown): number | null {
  return typeof given === "string" && /^\d{1,9}$/.test(given) ? Number(given) : null;
}
