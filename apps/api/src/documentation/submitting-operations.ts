import { uploadMediaTypes } from "@genga/jobs";
import { answerExamples, bodyExamples } from "./examples.ts";
import { json, location, type Answer, type Contents, type Operation } from "./operation.ts";
import { type ProblemCode } from "../http/problem-document.ts";

/** Of jobs by parameters. */
const refusals: readonly ProblemCode[] = [
  ...([
    "invalid-request",
    "unknown-type",
    "missing-field",
    "out-of-bounds",
    "unknown-model",
    "unknown-upload",
  ] as const),
  ...(["unknown-node-class", "misplaced-graph", "editor-format"] as const),
];
/** Where a raw graph may come as well. */
const refusalsWithGraphs: readonly ProblemCode[] = [
  ...refusals,
  ...(["forbidden-file", "denied-node-class", "secrets-key-missing", "invalid-graph"] as const),
];

const acceptedJob: Answer = {
  description: "The job is stored. It answers by its id from now on.",
  content: json("AcceptedJob", answerExamples.AcceptedJob),
  headers: location,
};

const imageContent = { type: "string", format: "binary", description: "At most 20 MiB." };

/** An image as it is, or in a form. */
const imageBody: Contents = {
  ...Object.fromEntries(uploadMediaTypes.map((type) => [type, { schema: imageContent }])),
  "multipart/form-data": {
    schema: {
      type: "object",
      required: ["image"],
      properties: { image: { ...imageContent, description: "The file; PNG, JPEG or WebP, at most 20 MiB." } },
    },
  },
};

/** Jobs, batches, and what they begin with. */
export const submittingOperations: readonly Operation[] = [
  {
    id: "submitJob",
    tag: "submit",
    method: "POST",
    path: "generate",
    summary: "Submit a job",
    description:
      "Numbers of a workflow reach the server as they are written: integers of any size keep their digits, and `1.0` stays " +
      "a float. A client whose JSON cannot write an integer beyond 2^53−1 sends its digits as text.",
    body: json("NewJob", bodyExamples.NewJob),
    answers: { 202: acceptedJob },
    refusals: refusalsWithGraphs,
  },
  {
    id: "submitImage",
    tag: "submit",
    method: "POST",
    path: "generate/image",
    summary: "Submit an image job",
    body: json("ImageJob", bodyExamples.ImageJob),
    answers: { 202: acceptedJob },
    refusals,
  },
  {
    id: "submitVideo",
    tag: "submit",
    method: "POST",
    path: "generate/video",
    summary: "Submit a video job",
    body: json("VideoJob", bodyExamples.VideoJob),
    answers: { 202: acceptedJob },
    refusals,
  },
  {
    id: "submitBatch",
    tag: "submit",
    method: "POST",
    path: "batches",
    summary: "Submit many jobs, all or none",
    body: json("NewBatch", bodyExamples.NewBatch),
    answers: {
      202: {
        description: "All jobs are stored.",
        content: json("AcceptedBatch", answerExamples.AcceptedBatch),
        headers: location,
      },
    },
    refusals: refusalsWithGraphs,
  },
  {
    id: "uploadImage",
    tag: "submit",
    method: "POST",
    path: "uploads",
    summary: "Send an image to begin with, or a mask",
    description:
      "The image itself as the body, or a form with one file in the field `image`. PNG, JPEG or WebP by content, at most " +
      "20 MiB. The same image again is the same upload. Jobs name it by id: `initImage`, `mask`; the loaders of a raw " +
      "workflow by `name`.",
    body: imageBody,
    answers: {
      201: {
        description: "The image can be used.",
        content: json("Upload", answerExamples.Upload),
        headers: location,
      },
    },
    refusals: ["invalid-image", "storage-unavailable"],
  },
  {
    id: "getUpload",
    tag: "submit",
    method: "GET",
    path: "uploads/:id",
    summary: "What is known of an upload",
    answers: { 200: { description: "The upload.", content: json("Upload", answerExamples.Upload) } },
    refusals: ["upload-not-found"],
  },
];
