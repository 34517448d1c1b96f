import { jobStatuses, shownServerStates } from "@genga/jobs";
import { imageParametersSchema, videoParametersSchema, workflowParametersSchema } from "@genga/workflows";
import { z } from "zod";
import {
  attemptViewSchema,
  batchViewSchema,
  jobDetailSchema,
  jobEventViewSchema,
  jobViewSchema,
  outputViewSchema,
  promptViewFields,
} from "../jobs/job-view.ts";
import { auditEventViewSchema } from "./audit-events.ts";
import { keyRotationSchema, keyViewSchema, newKeySchema, toldKeySchema } from "./keys.ts";
import { problemDocumentSchema } from "../http/problem-document.ts";
import { tenantLimitChoicesSchema, tenantLimitsViewSchema } from "./tenant-limits.ts";
import { uploadViewSchema } from "./uploads.ts";
import {
  batchJobsMax,
  batchNameSchema,
  optionFields,
  retryBodySchema,
} from "../submissions/submission-body.ts";

const ImageJob = imageParametersSchema.safeExtend({ type: z.literal("image"), ...optionFields });
const VideoJob = videoParametersSchema.safeExtend({ type: z.literal("video"), ...optionFields });
const WorkflowJob = workflowParametersSchema.safeExtend({ type: z.literal("workflow"), ...optionFields });
const NewJob = z.discriminatedUnion("type", [ImageJob, VideoJob, WorkflowJob]);

/** What is sent, by its name in the document. */
export const bodySchemas = {
  /** Where the path says the type, it may be left out. */
  ImageJob: imageParametersSchema.safeExtend({ type: z.literal("image").optional(), ...optionFields }),
  VideoJob: videoParametersSchema.safeExtend({ type: z.literal("video").optional(), ...optionFields }),
  WorkflowJob,
  NewJob,
  NewBatch: z.strictObject({ name: batchNameSchema, jobs: z.array(NewJob).min(1).max(batchJobsMax) }),
  RetryBody: retryBodySchema,
  TenantLimitChoices: tenantLimitChoicesSchema,
  NewKey: newKeySchema,
  KeyRotation: keyRotationSchema,
} as const;
export type BodyName = keyof typeof bodySchemas;

const links = z.record(z.string(), z.url());
const notChecked = z
  .array(z.string())
  .describe("What was left to the server to judge, because its definitions say what Genga does not know.");
const AcceptedJob = z.object({
  id: z.uuid(),
  status: z.enum(jobStatuses),
  ...promptViewFields,
  links,
  warnings: z.array(z.string()).optional(),
  notChecked: notChecked.optional(),
});
const counts = z.record(z.enum(jobStatuses), z.int().min(0));
const queueFields = {
  counts,
  lanes: z.array(z.object({ lane: z.string(), queued: z.int(), processing: z.int() })),
  oldestQueuedAt: z.iso.datetime().nullable(),
};
const part = z.object({
  status: z.enum(["ok", "unavailable"]),
  latencyMs: z.int().nullable(),
  detail: z.string().nullable(),
});
const parts = z.object({ database: part, redis: part, servers: part, workers: part });

const forOperators = "For keys that operate.";
const Server = z.object({
  id: z.uuid(),
  name: z.string().describe("Stays the same, and tells nothing of its address."),
  url: z.string().optional().describe(forOperators),
  state: z
    .enum(shownServerStates)
    .describe(
      "As its worker last saw it; `unowned` from the moment that no worker owns it; `retired` once no worker names it any more.",
    ),
  stateReason: z.string().nullable().optional().describe(forOperators),
  stateSince: z.string(),
  draining: z.boolean(),
  slots: z.int().optional().describe(forOperators),
  jobsHeld: z.int().optional().describe(forOperators),
  worker: z.string().nullable().optional().describe(forOperators),
  version: z.string().nullable().describe("ComfyUI's own."),
  abilities: z
    .object({
      cancelsById: z.boolean().describe("It ends a prompt by its id in one step."),
      namesPreviews: z.boolean().describe("Its previews name their prompt and node."),
      replacesNodes: z.boolean().describe("It replaces nodes of classes that it no longer has."),
      hasAssets: z.boolean().describe("It knows files by their content."),
      uploadBytesMax: z.int().nullable().describe("Longest request that it takes."),
    })
    .nullable()
    .optional()
    .describe(`What it can that not every ComfyUI can; null until it was probed. ${forOperators}`),
  isKnown: z.boolean(),
});

/** What is answered, by its name in the document. */
export const answerSchemas = {
  AcceptedJob,
  AcceptedBatch: z.object({
    id: z.uuid(),
    name: z.string().nullable(),
    total: z.int(),
    jobs: z.array(AcceptedJob),
    links,
    warnings: z.array(z.string()),
    notChecked,
  }),
  Job: jobViewSchema,
  JobDetail: jobDetailSchema,
  JobPage: z.object({ jobs: z.array(jobViewSchema), nextCursor: z.string().nullable() }),
  JobEvent: jobEventViewSchema,
  Output: outputViewSchema,
  Outputs: z.object({ id: z.uuid(), status: z.enum(jobStatuses), outputs: z.array(outputViewSchema) }),
  Attempts: z.object({ id: z.uuid(), status: z.enum(jobStatuses), attempts: z.array(attemptViewSchema) }),
  Parameters: z.object({ id: z.uuid(), type: z.string(), parameters: z.record(z.string(), z.unknown()) }),
  Workflow: z.record(z.string(), z.unknown()).describe("A ComfyUI graph in API format, by node ids."),
  Batch: batchViewSchema,
  CancelledBatch: batchViewSchema.extend({
    cancelled: z.int().min(0).describe("Jobs that were queued and have ended now."),
    requested: z.int().min(0).describe("Running jobs that were asked to end."),
  }),
  RetriedBatch: batchViewSchema.extend({ retried: z.int().min(0) }),
  Upload: uploadViewSchema,
  Queue: z.object({
    ...queueFields,
    pausedSince: z.iso
      .datetime()
      .nullable()
      .describe("When an operator paused the farm; null while it is not paused."),
    allTenants: z.object(queueFields).optional().describe(forOperators),
    servers: z
      .object({
        total: z.int().describe("Without the retired ones."),
        online: z.int().describe("They take work; one on probation takes one job at a time."),
        unowned: z.int().describe("No worker owns them now."),
        retired: z.int().describe("No worker names them any more."),
        slots: z.int(),
        jobsHeld: z.int(),
      })
      .optional()
      .describe(forOperators),
    workers: z
      .object({
        alive: z.int(),
        withoutRoom: z.int().describe("Of these begin nothing, since the disk for outputs is nearly full."),
      })
      .optional()
      .describe(forOperators),
  }),
  Servers: z.object({ servers: z.array(Server) }),
  Workers: z.object({
    workers: z.array(
      z.object({
        id: z.string(),
        startedAt: z.iso.datetime(),
        lastSeenAt: z.iso.datetime(),
        healthUrl: z
          .string()
          .nullable()
          .describe("Where it tells how it is; null of a version that does not."),
        serversNamed: z.array(z.uuid()).describe("By its configuration; none = a version that does not say."),
        serversOwned: z.int(),
        jobsHeld: z.int(),
      }),
    ),
  }),
  FarmState: z.object({ pausedSince: z.iso.datetime().nullable(), pausedBy: z.string().nullable() }),
  Server,
  TenantLimits: tenantLimitsViewSchema,
  ServerAction: z.object({ id: z.uuid(), draining: z.boolean() }),
  Health: z.object({
    status: z.enum(["ok", "degraded", "unavailable"]),
    version: z.string(),
    uptimeSeconds: z.int(),
    parts,
  }),
  Readiness: z.object({ status: z.enum(["ready", "not-ready"]), parts }),
  Key: keyViewSchema,
  Keys: z.object({ keys: z.array(keyViewSchema) }),
  ToldKey: toldKeySchema,
  AuditEvents: z.object({ events: z.array(auditEventViewSchema), nextCursor: z.string().nullable() }),
  Problem: problemDocumentSchema,
} as const;
export type AnswerName = keyof typeof answerSchemas;
