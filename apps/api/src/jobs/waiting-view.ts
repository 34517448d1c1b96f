import { jobStatuses } from "@genga/jobs";
import { z } from "zod";

const moment = z.iso.datetime();
const forOperators = "Shown to keys of the role operate.";

/** A job that another depends on. */
export const dependencySchema = z.object({
  jobId: z.string(),
  key: z.string().nullable(),
  status: z.enum([...jobStatuses, "removed"]),
  isMet: z.boolean().describe("It has completed; this stays true when it is removed."),
});

/** Why a queued job waits. */
export const waitingReasonSchema = z.object({
  code: z.enum([
    ...[
      "behind-others",
      "next",
      "paused",
      "run-at",
      "backoff",
      "no-worker",
      "tenant-limit",
      "storage-full",
      "storage-unavailable",
      "farm-paused",
      "lane-paused",
      "dependency",
      "redis-away",
    ],
    ...["no-server", "no-server-online", "no-server-can-run-it", "no-server-with-labels"],
  ] as const),
  message: z.string(),
  jobsBefore: z
    .int()
    .describe("Jobs of the same tenant that will be served before this one; counting stops at 1,000."),
  hasMoreBefore: z.boolean().describe("More jobs of the same tenant come before it than were counted."),
  estimatedWaitMs: z
    .int()
    .nullable()
    .describe(
      "How long it will probably take until it begins, from measured run times of jobs like it; null while something else " +
        "prevents it, nothing was measured, or too many jobs come before it.",
    ),
  othersBefore: z
    .int()
    .optional()
    .describe(
      `Jobs of other tenants that will be served before this one; counting stops at 1,000. ${forOperators}`,
    ),
  lane: z.string().optional().describe(`Jobs with the same requirements wait in one lane. ${forOperators}`),
  position: z
    .int()
    .nullable()
    .optional()
    .describe(
      `Its place in its lane, from 1; null when more jobs come before it than are counted. ${forOperators}`,
    ),
  until: moment.nullable().describe("The job is not tried again before this time."),
  missing: z.array(z.string()).describe("Node classes, models and labels that the closest server lacks."),
  dependencies: z
    .array(dependencySchema)
    .optional()
    .describe("The jobs that must complete first and have not yet, at most 100; with the code dependency."),
});

export type WaitingReason = z.infer<typeof waitingReasonSchema>;
