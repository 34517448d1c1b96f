import { type JobType, type Principal } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { type ProblemCode } from "../http/problem-document.ts";
import { jsonBytes } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { type Reply } from "../routing/reply.ts";
import { route } from "../routing/route.ts";

/** Problems of jobs that are described by parameters. */
const problems: readonly ProblemCode[] = [
  ...([
    "invalid-request",
    "unknown-type",
    "missing-field",
    "out-of-bounds",
    "unknown-model",
    "unknown-upload",
  ] as const),
  ...(["unknown-node-class", "misplaced-graph", "editor-format"] as const),
  "submission-interrupted",
];
/** Problems of routes that also take a raw graph. */
export const problemsWithGraphs: readonly ProblemCode[] = [
  ...problems,
  ...(["forbidden-file", "denied-node-class", "secrets-key-missing", "invalid-graph"] as const),
];

const acceptedJob = {
  description: "The job is stored, and can be read by its id from now on.",
  content: json("AcceptedJob"),
  headers: location,
};

const submission = {
  tag: "submit",
  method: "POST",
  access: "submit",
  submits: true,
  answers: { 202: acceptedJob },
} as const;

interface Asked {
  body: Uint8Array<ArrayBuffer>;
  principal: Principal;
  baseUrl: string;
}

/** The job is accepted when the answer is sent. */
const acceptAs =
  (type?: JobType) =>
  async (
    { body, principal, baseUrl }: Asked,
    { submissions }: Pick<ApiDependencies, "submissions">,
  ): Promise<Required<Pick<Reply, "location" | "jsonBytes">>> => {
    const accepted = await submissions.accept({ kind: "job", type, body, principal, baseUrl });
    return { location: accepted.location, jsonBytes: accepted.answer };
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
