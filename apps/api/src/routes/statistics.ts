import { type EndCounts } from "@genga/jobs";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";

const hoursMax = 48;
const minuteMs = 60_000;

export const getStatistics = route({
  id: "getStatistics",
  tag: "farm",
  method: "GET",
  path: "statistics",
  access: "read",
  summary: "How many jobs of the tenant ended, over time",
  description:
    "In steps of a minute up to two hours, of five minutes up to twelve, else of half an hour. Removed jobs are counted, too. Keys of " +
    "the role operate also see the counts of all tenants together.",
  query: z.strictObject({
    hours: z.coerce.number().int().min(1).max(hoursMax).default(24).describe("How far back, in hours."),
  }),
  answers: { 200: { description: "Steps in which jobs ended, oldest first.", content: json("Statistics") } },
  problems: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"],
  handler: async (
    { query: { hours }, principal },
    { jobs, ownJobs }: Pick<ApiDependencies, "jobs" | "ownJobs">,
  ) => {
    const stepMs = (hours <= 2 ? 1 : hours <= 12 ? 5 : 30) * minuteMs;
    const now = Date.now();
    // Steps begin at round times, so that one that was shown goes on to have the same ends.
    const since = new Date(Math.ceil((now - hours * 60 * minuteMs) / stepMs) * stepMs);
    const [own, all] = await Promise.all([
      ownJobs(principal).countEnds(since, stepMs),
      principal.role === "operate" ? jobs.countEnds(since, stepMs) : undefined,
    ]);
    return {
      json: {
        ...{ since: since.toISOString(), until: new Date(now).toISOString(), stepMs, steps: own.map(viewOf) },
        ...(all !== undefined && { allTenants: all.map(viewOf) }),
      },
    };
  },
});

function viewOf({ at, ...counts }: EndCounts): AnswerOf<"Statistics">["steps"][number] {
  return { at: at.toISOString(), ...counts };
}
