import { z } from "zod";
import { answerExamples } from "./examples.ts";
import { json, type Answer, type Contents, type Operation } from "./operation.ts";
import { jobsQuerySchema } from "../http/request-values.ts";

const integersAsText =
  "Integers beyond 2^53−1 are texts of digits, since most readers of JSON would round them. Servers read such texts for " +
  "INT inputs, so that a workflow can be submitted again as it is answered.";

const bytes = { type: "string", format: "binary" };
/** What servers make most; any other type that a file's content says is possible. */
const outputMediaTypes = [
  ...["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/svg+xml", "image/x-exr"],
  ...["video/mp4", "video/webm", "video/x-matroska"],
  ...["audio/flac", "audio/wav", "audio/mpeg", "audio/ogg"],
  ...["model/gltf-binary", "application/x-safetensors", "application/octet-stream"],
];
const outputContent: Contents = {
  ...Object.fromEntries(outputMediaTypes.map((type) => [type, { schema: bytes }])),
  "text/plain": { schema: { type: "string" } },
  "application/json": { schema: {} },
  "*/*": { schema: bytes },
};
const outputHeaders: Answer["headers"] = {
  ETag: { description: "The SHA-256 of the whole content, in quotes.", schema: { type: "string" } },
  "Accept-Ranges": {
    description: "`none` for texts.",
    schema: { type: "string", enum: ["bytes", "none"] },
  },
  "Content-Disposition": {
    description: "`inline` for raster images, sounds and videos, `attachment` for everything else.",
    schema: { type: "string" },
  },
};

/** Not as one object of `sentEvent`, which nobody could send: as it goes over the wire. */
const eventStream = [
  'event: snapshot\nid: 4\ndata: {"id": "01a213f0-8c1e-7c42-9a44-6f1f0a5f7d21", "status": "processing", …}\n',
  'event: progress\ndata: {"jobId": "01a213f0-…", "attempt": 1, "phase": "executing", "progress": {"percent": 42, …}}\n',
  'event: event\nid: 5\ndata: {"jobId": "01a213f0-…", "sequence": 5, "type": "completed", …}\n\n',
].join("\n");

/** One event of the stream; OpenAPI 3.1 has no better place for it. */
const sentEvent = {
  type: "object",
  description: "Each event.",
  required: ["event", "data"],
  properties: {
    event: { type: "string", enum: ["snapshot", "event", "progress", "removed", "closed"] },
    id: { type: "string", pattern: "^[0-9]+$", description: "A sequence." },
    data: {
      type: "string",
      contentMediaType: "application/json",
      contentSchema: {
        anyOf: [
          { $ref: "#/components/schemas/JobDetail" },
          { $ref: "#/components/schemas/JobEvent" },
          {
            type: "object",
            description:
              "Of `progress`: attempt, phase, progress. Of `removed`: jobId. Of `closed`: jobId, reason (`key-not-valid`).",
          },
        ],
      },
    },
  },
};

/** `jobs/{id}` and the predecessor's `job/{id}`. */
const aJob = {
  tag: "jobs",
  method: "GET",
  summary: "One job, with why it waits or what it made",
  answers: { 200: { description: "The job.", content: json("JobDetail", answerExamples.JobDetail) } },
  refusals: ["job-not-found", "job-removed"],
} as const;

const ofJob = { tag: "jobs", method: "GET", refusals: ["job-not-found", "job-removed"] } as const;

/** What became of jobs, and what they made. */
export const lookingOperations: readonly Operation[] = [
  { ...aJob, id: "getJob", path: "jobs/:id" },
  { ...aJob, id: "getJobByOldPath", path: "job/:id", summary: "The same, by the predecessor's path" },
  {
    id: "listJobs",
    tag: "jobs",
    method: "GET",
    path: "jobs",
    summary: "Jobs, newest first",
    query: jobsQuerySchema,
    answers: {
      200: { description: "A page of them.", content: json("JobPage", answerExamples.JobPage) },
    },
    refusals: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request", "search-too-broad"],
  },
  {
    ...ofJob,
    id: "watchJob",
    path: "jobs/:id/events",
    summary: "What happens to a job, live",
    description:
      "Server-sent events: `snapshot` (a JobDetail) comes first, then `event` (a JobEvent; its id is the sequence, by which " +
      "a client resumes) and `progress` (in between, without an id). The stream ends after the job has ended. `removed` is " +
      "the last thing that is said of a job that is removed meanwhile. `closed` is the last thing that is said under a key that " +
      "was revoked or has expired meanwhile; its reason is `key-not-valid`.",
    query: z.object({
      lastEventId: z.string().optional().describe("As `Last-Event-ID`, for clients that cannot set headers."),
    }),
    requestHeaders: z.object({
      "Last-Event-ID": z
        .string()
        .optional()
        .describe("The sequence of the last event that was received; what came after it is told first."),
    }),
    answers: {
      200: {
        description: "The stream.",
        content: { "text/event-stream": { schema: sentEvent, example: eventStream } },
      },
      204: {
        description: "The job has ended, and the client has seen its last event: do not connect again.",
      },
    },
    refusals: [...ofJob.refusals, "too-many-streams"],
  },
  {
    ...ofJob,
    id: "listOutputs",
    path: "jobs/:id/outputs",
    summary: "What a job made",
    answers: { 200: { description: "Its outputs.", content: json("Outputs", answerExamples.Outputs) } },
  },
  {
    ...ofJob,
    id: "listAttempts",
    path: "jobs/:id/attempts",
    summary: "Each execution of a job, with its failure",
    answers: { 200: { description: "Oldest first.", content: json("Attempts") } },
  },
  {
    ...ofJob,
    id: "getParameters",
    path: "jobs/:id/parameters",
    summary: "What was asked for, with defaults and the seed filled in",
    description: integersAsText,
    answers: {
      200: { description: "The parameters.", content: json("Parameters", answerExamples.Parameters) },
    },
  },
  {
    ...ofJob,
    id: "getWorkflow",
    path: "jobs/:id/workflow",
    summary: "The ComfyUI graph of a job",
    description: integersAsText,
    answers: { 200: { description: "The graph.", content: json("Workflow", answerExamples.Workflow) } },
  },
  {
    id: "getOutput",
    tag: "jobs",
    method: "GET",
    path: "outputs/:id",
    summary: "The bytes of an output",
    description:
      "They never change and may be kept for ever. HEAD is answered with the same headers. Only raster images, sounds and " +
      "videos are shown in a browser; everything else is a download.",
    requestHeaders: z.object({
      Range: z
        .string()
        .optional()
        .describe("One range: `bytes=0-499`. Several are answered with the whole file."),
      "If-Range": z.string().optional().describe("The range counts only if this ETag is still the output's."),
      "If-None-Match": z.string().optional().describe("ETags that the client has; `*` for any."),
    }),
    answers: {
      200: { description: "All of it.", content: outputContent, headers: outputHeaders },
      206: {
        description: "The range that was asked for.",
        content: outputContent,
        headers: {
          ...outputHeaders,
          "Content-Range": { description: "`bytes 0-499/1234`", schema: { type: "string" } },
        },
      },
      304: { description: "The client has it already.", headers: outputHeaders },
    },
    refusals: ["output-not-found", "range-not-satisfiable", "storage-unavailable"],
  },
  {
    id: "getBatch",
    tag: "jobs",
    method: "GET",
    path: "batches/:id",
    summary: "A batch, with counts",
    answers: { 200: { description: "The batch.", content: json("Batch", answerExamples.Batch) } },
    refusals: ["batch-not-found"],
  },
];
