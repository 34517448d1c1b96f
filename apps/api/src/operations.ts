import { jobStatuses, shownServerStates } from "@genga/jobs";
import { uploadMediaTypes } from "@genga/jobs";
import { z } from "zod";
import { type ApiSchemas } from "./api-schemas.ts";
import { attemptViewSchema, batchViewSchema } from "./job-view.ts";
import { jobsQuerySchema } from "./request-values.ts";

/** One thing that can be done, as documented. */
export interface Operation {
  method: "get" | "post" | "delete";
  /** Below the prefix, or from the root when it begins with a slash. */
  path: string;
  summary: string;
  description?: string;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** Absent: JSON. */
  bodyMediaTypes?: readonly string[];
  status: number;
  answer?: z.ZodType;
  mediaType?: string;
  refusals: readonly number[];
}

const ofJob = [401, 404, 410, 503];
const ofSubmission = [400, 401, 413, 415, 422, 503];

const integersAsText =
  "Integers beyond 2^53−1 are texts of digits, since most readers of JSON would round them. Servers read such texts for " +
  "INT inputs, so that a workflow can be submitted again as it is answered.";

/** Everything that the API can do, in the order of a job's life. */
export function operations(schemas: ApiSchemas): Operation[] {
  return [...submitting(schemas), ...looking(schemas), ...changing(schemas), ...operating()];
}

function submitting(schemas: ApiSchemas): Operation[] {
  const accepted = {
    method: "post",
    status: 202,
    answer: schemas.AcceptedJob,
    refusals: ofSubmission,
  } as const;
  return [
    {
      ...accepted,
      path: "generate",
      summary: "Submit a job",
      body: schemas.NewJob,
      description:
        "Numbers of a workflow reach the server as they are written: integers of any size keep their digits, and `1.0` stays " +
        "a float. A client whose JSON cannot write an integer beyond 2^53−1 sends its digits as text.",
    },
    {
      ...accepted,
      path: "generate/image",
      summary: "Submit an image job",
      body: schemas.ImageJob,
      description: "`type` may be left out.",
    },
    {
      ...accepted,
      path: "generate/video",
      summary: "Submit a video job",
      body: schemas.VideoJob,
      description: "`type` may be left out.",
    },
    {
      ...accepted,
      path: "batches",
      summary: "Submit many jobs, all or none",
      body: schemas.NewBatch,
      answer: schemas.AcceptedBatch,
    },
    ...uploading(schemas),
  ];
}

function uploading(schemas: ApiSchemas): Operation[] {
  return [
    {
      method: "post",
      path: "uploads",
      summary: "Send an image to begin with, or a mask",
      description:
        "The image itself as the body, or a form with one file in the field `image`. PNG, JPEG or WebP by content, at most " +
        "20 MiB. The same image again is the same upload. Jobs name it by id: `initImage`, `mask`; the loaders of a raw " +
        "workflow by `name`.",
      body: z.string().meta({ format: "binary" }),
      bodyMediaTypes: [...uploadMediaTypes, "multipart/form-data"],
      status: 201,
      answer: schemas.Upload,
      refusals: [400, 401, 413, 415, 422, 503],
    },
    {
      method: "get",
      path: "uploads/{id}",
      summary: "What is known of an upload",
      status: 200,
      answer: schemas.Upload,
      refusals: [401, 404, 503],
    },
  ];
}

function looking(schemas: ApiSchemas): Operation[] {
  const look = { method: "get", status: 200, refusals: ofJob } as const;
  return [
    {
      ...look,
      path: "jobs/{id}",
      summary: "One job, with why it waits or what it made",
      answer: schemas.JobDetail,
    },
    { ...look, path: "job/{id}", summary: "The same", answer: schemas.JobDetail },
    {
      ...look,
      path: "jobs/{id}/events",
      summary: "What happens to a job, live",
      description:
        "Server-sent events: `snapshot` (a JobDetail), `event` (a JobEvent; its id is the sequence, to resume by " +
        "`Last-Event-ID`), `progress` (in between, without an id). Ends after the job's end; 204 when nothing can follow.",
      mediaType: "text/event-stream",
    },
    { ...look, path: "jobs/{id}/outputs", summary: "What a job made", answer: schemas.Outputs },
    {
      ...look,
      path: "jobs/{id}/attempts",
      summary: "Each execution of a job, with its server and its failure",
      answer: z.object({ id: z.string(), status: z.enum(jobStatuses), attempts: z.array(attemptViewSchema) }),
    },
    {
      ...look,
      path: "jobs/{id}/parameters",
      summary: "What was asked for, with defaults and the seed filled in",
      description: integersAsText,
      answer: z.object({ id: z.string(), type: z.string(), parameters: z.record(z.string(), z.unknown()) }),
    },
    {
      ...look,
      path: "jobs/{id}/workflow",
      summary: "The ComfyUI graph of a job",
      description: integersAsText,
      answer: z.record(z.string(), z.unknown()),
    },
    {
      ...look,
      path: "outputs/{id}",
      summary: "The bytes of an output",
      description: "They never change. `Range`, `If-Range`, `If-None-Match` and HEAD are understood.",
      mediaType: "application/octet-stream",
      refusals: [401, 404, 416, 503],
    },
    {
      ...look,
      path: "jobs",
      summary: "Jobs, newest first",
      query: jobsQuerySchema,
      answer: schemas.JobPage,
      refusals: [401, 422, 503],
    },
    {
      ...look,
      path: "batches/{id}",
      summary: "A batch, with counts",
      answer: schemas.Batch,
      refusals: [401, 404, 503],
    },
  ];
}

function changing(schemas: ApiSchemas): Operation[] {
  const change = { method: "post", status: 202, answer: schemas.JobDetail } as const;
  return [
    {
      ...change,
      path: "jobs/{id}/cancel",
      summary: "Ask for a job's end",
      description: "Of a running job the status becomes `cancelled` when its server has let go.",
      refusals: [...ofJob, 409],
    },
    {
      ...change,
      path: "jobs/{id}/retry",
      summary: "Try a job again that failed, timed out or was cancelled",
      refusals: [...ofJob, 409],
    },
    {
      ...change,
      path: "batches/{id}/cancel",
      summary: "Cancel whatever of a batch has not ended",
      answer: batchViewSchema.extend({ cancelled: z.int(), requested: z.int() }),
      refusals: [401, 404, 503],
    },
    {
      ...change,
      path: "batches/{id}/retry",
      summary: "Try all failed and timed out jobs of a batch again",
      answer: batchViewSchema.extend({ retried: z.int() }),
      refusals: [401, 404, 503],
    },
    {
      method: "delete",
      path: "jobs/{id}",
      summary: "Remove an ended job and its files",
      status: 204,
      refusals: [...ofJob, 409],
    },
  ];
}

function operating(): Operation[] {
  const look = { method: "get", status: 200, refusals: [401, 503] } as const;
  const counts = z.record(z.enum(jobStatuses), z.int());
  const part = z.object({
    status: z.enum(["ok", "unavailable"]),
    latencyMs: z.int().nullable(),
    detail: z.string().nullable(),
  });
  const parts = z.object({ database: part, redis: part, servers: part, workers: part });
  return [
    {
      ...look,
      path: "queue",
      summary: "How much waits and runs",
      answer: z.object({
        counts,
        lanes: z.array(z.object({ lane: z.string(), queued: z.int(), processing: z.int() })),
        oldestQueuedAt: z.string().nullable(),
        servers: z.object({
          total: z.int(),
          online: z.int(),
          unowned: z.int().describe("No worker owns them now."),
          slots: z.int(),
          jobsHeld: z.int(),
        }),
        workers: z.object({ alive: z.int() }),
      }),
    },
    serverList(),
    ...(["drain", "resume"] as const).map((action): Operation => ({
      method: "post",
      path: `servers/{id}/${action}`,
      summary: action === "drain" ? "Give a server no new work" : "Give a server work again",
      status: 202,
      answer: z.object({ id: z.string(), draining: z.boolean() }),
      refusals: [401, 403, 404, 503],
    })),
    {
      ...look,
      path: "health",
      summary: "How each part is; 200 as long as this process lives",
      answer: z.object({
        status: z.enum(["ok", "degraded", "unavailable"]),
        version: z.string(),
        uptimeSeconds: z.int(),
        parts,
      }),
      refusals: [],
    },
    {
      ...look,
      path: "health/ready",
      summary: "Whether this process can accept jobs; the other parts are for information",
      answer: z.object({ status: z.enum(["ready", "not-ready"]), parts }),
      refusals: [503],
    },
    { ...look, path: "/metrics", summary: "Figures for Prometheus", mediaType: "text/plain" },
    { ...look, path: "/admin/queues", summary: "Bull Board, read-only", mediaType: "text/html" },
  ];
}

function serverList(): Operation {
  return {
    method: "get",
    status: 200,
    refusals: [401, 503],
    path: "servers",
    summary: "The ComfyUI servers and how they are doing",
    answer: z.object({
      servers: z.array(
        z.object({
          id: z.string(),
          url: z.string(),
          state: z
            .enum(shownServerStates)
            .describe("As its worker last saw it; `unowned` from the moment that no worker owns it."),
          stateReason: z.string().nullable(),
          stateSince: z.string(),
          draining: z.boolean(),
          slots: z.int(),
          jobsHeld: z.int(),
          worker: z.string().nullable(),
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
            .describe("What it can that not every ComfyUI can; null until it was probed."),
          isKnown: z.boolean(),
        }),
      ),
    }),
  };
}
