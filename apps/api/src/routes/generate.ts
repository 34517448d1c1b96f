import { type JobType, type Principal } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { type ProblemCode } from "../http/problem-document.ts";
import { jsonBytes } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import {
  keyOf,
  replayed,
  replyOf,
  submissionHeaders,
  type SubmissionHeaders,
  type SubmissionReply,
} from "./submission-headers.ts";

/** Problems of jobs that are described by parameters. */
const problems: readonly ProblemCode[] = [
  ...([
    "invalid-request",
    "unknown-type",
    "missing-field",
    "out-of-bounds",
    "unknown-model",
    "unknown-label",
    "unknown-upload",
  ] as const),
  ...(["unknown-node-class", "misplaced-graph", "editor-format"] as const),
  ...(["unknown-job", "dependency-ended", "dependency-cycle"] as const),
  ...(["submission-interrupted", "request-under-way", "idempotency-key-reused", "job-removed"] as const),
];
/** Problems of routes that also take a raw graph. */
export const problemsWithGraphs: readonly ProblemCode[] = [
  ...problems,
  ...(["forbidden-file", "denied-node-class", "secrets-key-missing", "invalid-graph"] as const),
];

const acceptedJob = {
  description: "The job is stored, and can be read by its id from now on.",
  content: json("AcceptedJob"),
  headers: { ...location, ...replayed },
};

const submission = {
  tag: "submit",
  method: "POST",
  access: "submit",
  submits: true,
  headers: submissionHeaders,
  answers: { 202: acceptedJob },
} as const;

interface Asked {
  headers: SubmissionHeaders;
  body: Uint8Array<ArrayBuffer>;
  principal: Principal;
  baseUrl: string;
}

/** The job is accepted when the answer is sent. */
const acceptAs =
  (type?: JobType) =>
  async (
    { body, headers, principal, baseUrl }: Asked,
    { submissions }: Pick<ApiDependencies, "submissions">,
  ): Promise<SubmissionReply> => {
    const job = { kind: "job", type, body, ...keyOf(headers), principal, baseUrl } as const;
    return replyOf(await submissions.accept(job));
  };

export const submitJob = route({
  ...submission,
  id: "submitJob",
  path: "generate",
  summary: "Submit a job",
  description:
    "Numbers of a workflow reach the server as they are written: integers of any size keep their digits, and `1.0` stays " +
    "a float. A client whose JSON cannot write an integer beyond 2^53−1 sends its digits as text.",
  body: jsonBytes("NewJob"),
  problems: problemsWithGraphs,
  handler: acceptAs(),
});

export const submitImage = route({
  ...submission,
  id: "submitImage",
  path: "generate/image",
  summary: "Submit an image job",
  body: jsonBytes("ImageJob"),
  problems,
  handler: acceptAs("image"),
});

export const submitVideo = route({
  ...submission,
  id: "submitVideo",
  path: "generate/video",
  summary: "Submit a video job",
  body: jsonBytes("VideoJob"),
  problems,
  handler: acceptAs("video"),
});
