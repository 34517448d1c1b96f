import { addedServerSchema, newServerSchema } from "./new-server.ts";
import { jobPriorities, jobStatuses, jobTypes } from "@genga/jobs";
import { imageParametersSchema, videoParametersSchema, workflowParametersSchema } from "@genga/workflows";
import { z } from "zod";
import {
  attemptViewSchema,
  jobDetailSchema,
  chainSchema,
  jobEventViewSchema,
  jobHistorySchema,
  jobViewSchema,
  labelViewFields,
  promptViewFields,
  templateOfJobSchema,
} from "../jobs/job-view.ts";
import { batchDetailSchema, batchViewSchema } from "../jobs/batch-view.ts";
import { outputViewSchema } from "../jobs/output-view.ts";
import { auditEventViewSchema } from "./audit-events.ts";
import { jobMarkAnswerSchemas, jobMarkBodySchemas } from "./job-marks.ts";
import { keyRotationSchema, keyViewSchema, newKeySchema, toldKeySchema } from "./keys.ts";
import { modelsViewSchema } from "./models.ts";
import { problemDocumentSchema } from "../http/problem-document.ts";
import { retentionViewSchema } from "./retention.ts";
import { forOperators, serverViewSchema as Server } from "./servers.ts";
import { sessionEntrySchema, sessionViewSchema, signInSchema } from "./sessions.ts";
import { tenantLimitChoicesSchema, tenantLimitsViewSchema } from "./tenant-limits.ts";
import { newLinkSchema, newZipLinkSchema, signedLinkViewSchema } from "./signed-links.ts";
import { statisticsViewSchema } from "./statistics.ts";
import { templateAnswerSchemas, templateBodySchemas } from "./templates.ts";
import { uploadViewSchema } from "./uploads.ts";
import {
  deliveryViewSchema,
  newWebhookSchema,
  toldWebhookSchema,
  webhookChangeSchema,
  webhookRotationSchema,
  webhookViewSchema,
} from "./webhooks.ts";
import { queueOutlookSchema } from "./queue-outlook.ts";
import { batchOptionFields, jobOptionFields } from "../submissions/job-options.ts";
import { batchRerunSchema } from "../submissions/batch-rerun.ts";
import { rerunBodySchema } from "../submissions/rerun-body.ts";
import { sweepSchema } from "../submissions/sweep.ts";
import { templateJobSchema } from "../submissions/template-jobs.ts";
import {
  batchJobsMax,
  batchNameSchema,
  dryRunSchema,
  retryBodySchema,
} from "../submissions/submission-body.ts";

const ImageJob = imageParametersSchema.safeExtend({ type: z.literal("image"), ...jobOptionFields });
const VideoJob = videoParametersSchema.safeExtend({ type: z.literal("video"), ...jobOptionFields });
const WorkflowJob = workflowParametersSchema.safeExtend({ type: z.literal("workflow"), ...jobOptionFields });
const NewJob = z.union([z.discriminatedUnion("type", [ImageJob, VideoJob, WorkflowJob]), templateJobSchema]);

/** The schemas of bodies, by their names in the OpenAPI document. */
export const bodySchemas = {
  /** The path already says the type, so the body may leave it out. */
  ImageJob: imageParametersSchema.safeExtend({ type: z.literal("image").optional(), ...jobOptionFields }),
  VideoJob: videoParametersSchema.safeExtend({ type: z.literal("video").optional(), ...jobOptionFields }),
  WorkflowJob,
  TemplateJob: templateJobSchema,
  NewJob,
  NewBatch: z.strictObject({
    name: batchNameSchema,
    dryRun: dryRunSchema,
    ...batchOptionFields,
    jobs: z.array(NewJob).min(1).max(batchJobsMax).optional().describe("Either this or `sweep`."),
    sweep: sweepSchema(NewJob, batchJobsMax).optional(),
  }),
  RetryBody: retryBodySchema,
  RerunBody: rerunBodySchema,
  BatchRerun: batchRerunSchema,
  NewLink: newLinkSchema,
  NewZipLink: newZipLinkSchema,
  ...templateBodySchemas,
  ...jobMarkBodySchemas,
  NewPriority: z.strictObject({ priority: z.enum(jobPriorities) }),
  TenantLimitChoices: tenantLimitChoicesSchema,
  SignIn: signInSchema,
  NewServer: newServerSchema,
  NewKey: newKeySchema,
  KeyRotation: keyRotationSchema,
  NewWebhook: newWebhookSchema,
  WebhookChange: webhookChangeSchema,
  WebhookRotation: webhookRotationSchema,
} as const;
export type BodyName = keyof typeof bodySchemas;

const links = z.record(z.string(), z.url());
const notChecked = z
  .array(z.string())
  .describe(
    "What only the server can check, because its definitions contain something that Genga does not know.",
  );
const AcceptedJob = z.object({
  id: z.uuid(),
  status: z.enum(jobStatuses),
  reusedFrom: z
    .string()
    .optional()
    .describe("The completed job whose outputs it got, so that it is completed, too; absent where it runs."),
  ...promptViewFields,
  template: templateOfJobSchema.optional().describe("The template that it is made of; absent for none."),
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

/** The schemas of answers, by their names in the OpenAPI document. */
export const answerSchemas = {
  AddedServer: addedServerSchema,
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
  CheckedBatch: z.object({
    dryRun: z.literal(true),
    total: z.int().describe("How many jobs would be stored."),
    jobs: z
      .array(
        z.object({
          index: z.int(),
          type: z.enum(jobTypes),
          ...promptViewFields,
          priority: z.enum(jobPriorities),
          ...labelViewFields,
          values: z.record(z.string(), z.unknown()).describe("What the sweep sets in this job, by name."),
        }),
      )
      .describe("The first jobs, at most 10."),
    warnings: z.array(z.string()),
    notChecked,
  }),
  Job: jobViewSchema,
  JobDetail: jobDetailSchema,
  JobPage: z.object({ jobs: z.array(jobViewSchema), nextCursor: z.string().nullable() }),
  Chain: chainSchema,
  JobEvent: jobEventViewSchema,
  JobHistory: jobHistorySchema,
  ...jobMarkAnswerSchemas,
  Output: outputViewSchema,
  Outputs: z.object({ id: z.uuid(), status: z.enum(jobStatuses), outputs: z.array(outputViewSchema) }),
  Attempts: z.object({ id: z.uuid(), status: z.enum(jobStatuses), attempts: z.array(attemptViewSchema) }),
  Parameters: z.object({
    id: z.uuid(),
    type: z.string(),
    parameters: z.record(z.string(), z.unknown()),
    template: templateOfJobSchema
      .extend({ values: z.record(z.string(), z.unknown()).describe("With defaults and drawn seeds.") })
      .nullable()
      .describe("The template that the job was made of, and its values."),
  }),
  Workflow: z.record(z.string(), z.unknown()).describe("A ComfyUI graph in API format, by node ids."),
  Batch: batchViewSchema,
  BatchDetail: batchDetailSchema,
  BatchPage: z.object({ batches: z.array(batchViewSchema), nextCursor: z.string().nullable() }),
  CancelledBatch: batchViewSchema.extend({
    cancelled: z.int().min(0).describe("Jobs that were queued and are cancelled now."),
    requested: z.int().min(0).describe("Running jobs that are being cancelled."),
  }),
  RetriedBatch: batchViewSchema.extend({ retried: z.int().min(0) }),
  SignedLink: signedLinkViewSchema,
  Upload: uploadViewSchema,
  Models: modelsViewSchema,
  ...templateAnswerSchemas,
  JobCounts: z.object({ counts }),
  Queue: z.object({
    ...queueFields,
    pausedSince: z.iso
      .datetime()
      .nullable()
      .describe("When an operator paused the farm; null while it is not paused."),
    allTenants: z.object(queueFields).optional().describe(forOperators),
    outlook: queueOutlookSchema.optional().describe(forOperators),
    estimates: z
      .object({
        medianError: z
          .number()
          .nullable()
          .describe(
            "The median of |estimate − run| ÷ run, as each run was estimated at its begin; null before one was.",
          ),
        runs: z.int().describe("Of the latest estimated runs, so many; at most 500."),
      })
      .optional()
      .describe(`How far the estimates of runs are off. ${forOperators}`),
    servers: z
      .object({
        total: z.int().describe("All servers except retired ones."),
        online: z.int().describe("Servers that take work; a server on probation takes one job at a time."),
        unowned: z.int().describe("Servers that no worker owns now."),
        retired: z.int().describe("Servers that no worker's configuration names any more."),
        slots: z.int().describe("As configured, of the servers that take work."),
        jobsHeld: z.int().describe("Jobs that hold slots; more than `slots` if many are short."),
      })
      .optional()
      .describe(forOperators),
    workers: z
      .object({
        alive: z.int(),
        withoutRoom: z
          .int()
          .describe(
            "Workers that begin no jobs, because the disk for outputs is nearly full or the storage cannot be written to.",
          ),
      })
      .optional()
      .describe(forOperators),
  }),
  Statistics: statisticsViewSchema,
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
          .describe(
            "Where the worker serves its metrics and health; null for a version that does not report it.",
          ),
        serversNamed: z
          .array(z.uuid())
          .describe(
            "The servers that the worker's sources name; empty for a version that does not report them.",
          ),
        serversOwned: z.int(),
        jobsHeld: z.int(),
        serversProblem: z
          .string()
          .nullable()
          .describe(
            "Why the worker does not use the servers that its sources name now, such as a mistake in COMFYUI_SERVERS_FILE: the last good state counts. null = it uses them.",
          ),
      }),
    ),
  }),
  LaneState: z.object({
    name: z.string(),
    pausedSince: z.iso.datetime().nullable(),
    pausedBy: z.string().nullable(),
  }),
  FarmState: z.object({ pausedSince: z.iso.datetime().nullable(), pausedBy: z.string().nullable() }),
  Server,
  TenantLimits: tenantLimitsViewSchema,
  ServerRecycle: z.object({ id: z.uuid(), recycling: z.literal(true) }),
  ServerAction: z.object({ id: z.uuid(), draining: z.boolean() }),
  Health: z.object({
    status: z.enum(["ok", "degraded", "unavailable"]),
    version: z.string(),
    uptimeSeconds: z.int(),
    parts,
  }),
  Retention: retentionViewSchema,
  Liveness: z.object({ status: z.literal("ok") }),
  Readiness: z.object({ status: z.enum(["ready", "not-ready"]), parts }),
  Session: sessionViewSchema,
  Sessions: z.object({ sessions: z.array(sessionEntrySchema) }),
  Key: keyViewSchema,
  Keys: z.object({ keys: z.array(keyViewSchema) }),
  ToldKey: toldKeySchema,
  Webhook: webhookViewSchema,
  Webhooks: z.object({ webhooks: z.array(webhookViewSchema) }),
  ToldWebhook: toldWebhookSchema,
  WebhookDelivery: deliveryViewSchema,
  WebhookDeliveries: z.object({
    deliveries: z.array(deliveryViewSchema),
    nextCursor: z.string().nullable(),
  }),
  AuditEvents: z.object({ events: z.array(auditEventViewSchema), nextCursor: z.string().nullable() }),
  Problem: problemDocumentSchema,
} as const;
export type AnswerName = keyof typeof answerSchemas;
