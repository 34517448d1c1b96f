import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";

const dayMs = 24 * 60 * 60_000;

/** The settings of this process; those of all workers, which remove things, have to be the same. */
export const getRetention = route({
  id: "getRetention",
  tag: "service",
  method: "GET",
  path: "retention",
  access: "read",
  summary: "How long what is kept",
  description: "As the operator has set it for this process. Clients may remove their jobs earlier.",
  answers: { 200: { description: "The limits.", content: json("Retention") } },
  handler: (_asked, { keeping }: Pick<ApiDependencies, "keeping">) => {
    const { retention, uploadsUnusedMs, removedIdsMs, webhookDeliveriesMs } = keeping;
    return {
      json: {
        endedJobs: { days: daysOf(retention.ageMs), jobs: retention.jobs, bytes: retention.bytes },
        unusedUploadsDays: daysOf(uploadsUnusedMs),
        removedIdsDays: daysOf(removedIdsMs),
        webhookDeliveriesDays: webhookDeliveriesMs / dayMs,
      },
    };
  },
});

function daysOf(milliseconds: number | null): number | null {
  return milliseconds === null ? null : milliseconds / dayMs;
}
