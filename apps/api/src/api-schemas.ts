import { type OpenAPIRegistry } from "@asteasolutions/zod-to-openapi";
import { jobStatuses } from "@genga/jobs";
import { imageParametersSchema, videoParametersSchema, workflowParametersSchema } from "@genga/workflows";
import { z } from "zod";
import {
  batchViewSchema,
  jobDetailSchema,
  jobEventViewSchema,
  jobViewSchema,
  outputViewSchema,
  promptViewFields,
} from "./job-view.ts";
import { problemDocumentSchema } from "./problem-document.ts";
import { uploadViewSchema } from "./routes/uploads.ts";
import { batchJobsMax, batchNameSchema, optionFields } from "./submission-body.ts";

/** The schemas that have a name in the document. */
export type ApiSchemas = Readonly<
  Record<
    | "ImageJob"
    | "VideoJob"
    | "NewJob"
    | "AcceptedJob"
    | "NewBatch"
    | "AcceptedBatch"
    | "Batch"
    | "Job"
    | "JobDetail"
    | "JobPage"
    | "JobEvent"
    | "Output"
    | "Outputs"
    | "Problem"
    | "Upload",
    z.ZodType
  >
>;

/** Schemas made before zod was extended have no name for OpenAPI: clones of them do. */
export function registerSchemas(registry: OpenAPIRegistry): ApiSchemas {
  const named = <Schema extends z.ZodType>(name: string, schema: Schema): Schema =>
    registry.register(name, schema.clone());

  const ImageJob = named(
    "ImageJob",
    imageParametersSchema.safeExtend({ type: z.literal("image"), ...optionFields }),
  );
  const VideoJob = named(
    "VideoJob",
    videoParametersSchema.safeExtend({ type: z.literal("video"), ...optionFields }),
  );
  const WorkflowJob = named(
    "WorkflowJob",
    workflowParametersSchema.safeExtend({ type: z.literal("workflow"), ...optionFields }),
  );
  const NewJob = named("NewJob", z.discriminatedUnion("type", [ImageJob, VideoJob, WorkflowJob]));
  const links = z.record(z.string(), z.url());
  const notChecked = z
    .array(z.string())
    .describe("What was left to the server to judge, because its definitions say what Genga does not know.");
  const AcceptedJob = named(
    "AcceptedJob",
    z.object({
      id: z.string(),
      status: z.enum(jobStatuses),
      ...promptViewFields,
      links,
      warnings: z.array(z.string()).optional(),
      notChecked: notChecked.optional(),
    }),
  );
  const Output = named("Output", outputViewSchema);
  const Job = named("Job", jobViewSchema);
  return {
    ImageJob,
    VideoJob,
    NewJob,
    AcceptedJob,
    NewBatch: named(
      "NewBatch",
      z.strictObject({ name: batchNameSchema, jobs: z.array(NewJob).min(1).max(batchJobsMax) }),
    ),
    AcceptedBatch: named(
      "AcceptedBatch",
      z.object({
        id: z.string(),
        name: z.string().nullable(),
        total: z.int(),
        jobs: z.array(AcceptedJob),
        links,
        warnings: z.array(z.string()),
        notChecked,
      }),
    ),
    Batch: named("Batch", batchViewSchema),
    Job,
    JobDetail: named("JobDetail", jobDetailSchema),
    JobPage: named("JobPage", z.object({ jobs: z.array(Job), nextCursor: z.string().nullable() })),
    JobEvent: named("JobEvent", jobEventViewSchema),
    Output,
    Outputs: named(
      "Outputs",
      z.object({ id: z.string(), status: z.enum(jobStatuses), outputs: z.array(Output) }),
    ),
    Problem: named("Problem", problemDocumentSchema),
    Upload: named("Upload", uploadViewSchema),
  };
}
