import { z } from "zod";
import {
  jobEventTypes,
  jobPhases,
  jobStatuses,
  type Json,
  type SignalTopic,
  type SignalTopics,
} from "@genga/jobs";

const jobOf = {
  jobId: z.string(),
  batchId: z.string().nullable(),
  // Processes of an earlier version do not send it.
  tenantId: z.string().nullable().default(null),
};

const json: z.ZodType<Json> = z.json();

const jobEvent = z.object({
  jobId: z.string(),
  sequence: z.int(),
  type: z.enum(jobEventTypes),
  attempt: z.int(),
  data: z.record(z.string(), json),
  createdAt: z.iso.datetime(),
});

const jobProgress = z.object({
  percent: z.number(),
  node: z.string().nullable(),
  nodeTitle: z.string().nullable(),
  step: z.number().nullable(),
  steps: z.number().nullable(),
  nodesDone: z.number().nullable(),
  nodesTotal: z.number().nullable(),
  // Workers of an earlier version do not send these.
  remainingLowMs: z.number().nullable().default(null),
  remainingHighMs: z.number().nullable().default(null),
});

/**
 * The signals that travel over Redis. They are checked on arrival, because another version of Genga may have sent them.
 * A signal that lacks a field is dropped, so give a new field a default for signals of earlier versions.
 */
export const signalSchemas: { [Topic in SignalTopic]: z.ZodType<SignalTopics[Topic]> } = {
  job: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("event"), ...jobOf, status: z.enum(jobStatuses), event: jobEvent }),
    z.object({
      kind: z.literal("progress"),
      ...jobOf,
      attempt: z.int(),
      phase: z.enum(jobPhases),
      progress: jobProgress,
    }),
  ]),
  cancel: z.object({ jobIds: z.array(z.string()) }),
  "take-back-asked": z.object({ jobIds: z.array(z.string()) }),
  "taken-back": z.object({
    jobId: z.string(),
    attempt: z.int(),
    ticketNumber: z.int(),
    serverId: z.string(),
  }),
  "definitions-wanted": z.object({ requestedBy: z.string() }),
  "definitions-read": z.object({ serverId: z.string() }),
  "operator-request": z.object({ requestedBy: z.string() }),
  "deliveries-due": z.object({ deliveries: z.int() }),
};
