import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { viewOfEvent } from "../jobs/job-view.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";

/** For whoever wants to know what happened, and not to hold a stream open for it. */
export const listJobEvents = route({
  id: "listJobEvents",
  tag: "jobs",
  method: "GET",
  path: "jobs/:id/history",
  access: "read",
  subject: "job",
  summary: "What has happened to a job",
  description: "The events that a stream of the job would send, without waiting for more.",
  query: z.strictObject({
    after: z.coerce
      .number()
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(0)
      .describe("Only events with a greater sequence."),
    limit: z.coerce.number().int().min(1).max(500).default(200),
  }),
  answers: { 200: { description: "Oldest first.", content: json("JobHistory") } },
  problems: [
    "job-not-found",
    "job-removed",
    "unknown-field",
    "invalid-field",
    "out-of-bounds",
    "invalid-request",
  ],
  handler: async (
    { id, query, principal },
    { ownJobs, jobDetails }: Pick<ApiDependencies, "ownJobs" | "jobDetails">,
  ) => {
    const jobs = ownJobs(principal);
    const { status } = await foundJob(jobs, id);
    const events = await jobs.listEvents(id, query.after, query.limit + 1);
    const shown = events.slice(0, query.limit);
    const sight = await jobDetails.sightOf(principal);
    const nextAfter = events.length > query.limit ? (shown.at(-1)?.sequence ?? null) : null;
    return { json: { id, status, events: shown.map((event) => viewOfEvent(event, sight)), nextAfter } };
  },
});
