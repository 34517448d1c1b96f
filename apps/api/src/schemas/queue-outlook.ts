import { z } from "zod";

const moment = z.iso.datetime().nullable();

const waitingLaneSchema = z.object({
  lane: z.string().describe("Its name; POST lanes/{name}/pause pauses it."),
  model: z.string().nullable().describe("The main model of all its jobs; null if they need none."),
  waiting: z.int().describe("Tickets that a server could take now."),
  bands: z
    .object({ urgent: z.int(), high: z.int(), normal: z.int(), low: z.int() })
    .describe("Those that wait by priority; tickets that were given back for a moment are not counted."),
  waitingSince: z.iso.datetime().describe("Since when it has had tickets without a break, to a second."),
  lastServedAt: moment.describe("When a server last took a job of it, to some seconds."),
  runMs: z.number().nullable().describe("The mean of its measured executions; null until one was measured."),
  loadMs: z.number().nullable().describe("How long its model takes to load; null until that was measured."),
  pausedSince: moment.describe("When an operator paused it; null while it is not paused."),
});

const serverOutlookSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  lane: z.string().nullable().describe("The lane of the job that it got last."),
  loadedModel: z.string().nullable().describe("What it has loaded, as far as its worker knows."),
  modelSince: moment,
  jobsHeld: z.int(),
  next: z
    .object({
      lane: z.string(),
      reason: z
        .string()
        .describe(
          "kept: it has what the lane needs; urgent: more urgent jobs wait there; overdue: the lane has waited for " +
            "LANE_PATIENCE_MS; free: it has no work for what it has loaded.",
        ),
      loads: z.boolean().describe("It must load a model first."),
    })
    .nullable()
    .describe("From which lane it would take its next job now; null if it takes none."),
});

/** What operators see of the queue besides counts. */
export const queueOutlookSchema = z.object({
  lanes: z
    .array(waitingLaneSchema)
    .nullable()
    .describe("The lanes with tickets, at most 100, those with the most first; null while Redis is away."),
  lanesCount: z.int().describe("How many lanes have tickets."),
  tenants: z
    .array(
      z.object({
        tenant: z.string(),
        queued: z.int().describe("Queued jobs, those included that must wait for something else."),
        processing: z.int(),
      }),
    )
    .describe("At most 100 tenants that have queued jobs, those with the most first."),
  servers: z.array(serverOutlookSchema),
});
