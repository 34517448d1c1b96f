import { dependencyFailed } from "./check-dependencies.ts";
import { isReuse } from "./check-life.ts";
import { type JobHistory, type OutputObservation, type Violation } from "../history/history.ts";
import { expectedOutput, isLate, type ExpectedOutput } from "../plan/job-spec.ts";

/** Checks that a job ended as its specification requires, with the right outputs. */
export function checkEnd(job: JobHistory, excusedFailures: readonly string[]): Violation[] {
  return [
    ...[...checkStatus(job, excusedFailures)].map((message) => ({ rule: "end", jobId: job.id, message })),
    ...[...checkOutputs(job)].map((message) => ({ rule: "outputs", jobId: job.id, message })),
  ];
}

function* checkStatus(job: JobHistory, excusedFailures: readonly string[]): Generator<string> {
  const end = job.finalAnswers.find((answer) => answer.job !== undefined)?.job;
  if (end === undefined) return;
  const wasCancelAsked = job.requests.some(({ kind }) => kind === "cancel" || kind === "cancel-batch");
  switch (end.status) {
    case "completed":
      if (job.spec !== null && expectedOutput(job.spec) === null)
        yield "it completed, although such a job cannot complete";
      return;
    case "cancelled":
      if (!wasCancelAsked && job.name !== null) yield "it is cancelled, although no client requested that";
      return;
    case "timeout":
      if (job.spec !== null && !isLate(job.spec)) yield "it timed out, although its deadline is far away";
      return;
    case "failed": {
      const { class: failureClass, code, message } = end.failure ?? { class: "", code: "none", message: "" };
      // If the answer to its submission was lost, the job may be any of those that were submitted.
      const isMeant = (job.spec === null || job.spec.kind === "fails") && failureClass === "execution";
      // `check-dependencies.ts` sees to it that such a failure has its reason.
      const isOfOthers = code === dependencyFailed && job.dependsOn.length > 0;
      if (!isMeant && !isOfOthers && !excusedFailures.includes(code))
        yield `it failed without a valid reason: ${code}: ${message}`;
      return;
    }
    case "queued":
    case "processing":
      return; // checkLife reports jobs that have not ended
  }
}

function* checkOutputs(job: JobHistory): Generator<string> {
  const end = job.finalAnswers.find((answer) => answer.job !== undefined)?.job;
  if (end === undefined) return;
  if (end.status !== "completed") {
    if (job.outputs.length > 0) yield `it is ${end.status} and has ${job.outputs.length} outputs`;
    return;
  }
  if (job.outputs.length === 0) yield "it completed without an output";
  const expected = job.spec === null ? null : expectedOutput(job.spec);
  if (expected !== null && job.outputs.length !== 1) {
    yield `it has ${job.outputs.length} outputs in place of one`;
  }
  for (const output of job.outputs) {
    if (output.attempt !== end.attempt) {
      yield `an output is of attempt ${output.attempt}, but attempt ${end.attempt} completed`;
    }
    yield* checkContent(job, output, expected);
  }
}

function* checkContent(
  job: JobHistory,
  output: OutputObservation,
  expected: ExpectedOutput | null,
): Generator<string> {
  const { content } = output;
  if (output.kind === "text" || expected?.kind === "text") {
    if (expected !== null && (expected.kind !== "text" || expected.text !== output.text)) {
      yield `its text is ${JSON.stringify(output.text)}, expected was ${JSON.stringify(expected)}`;
    }
    return;
  }
  if (typeof content === "string") {
    yield `an output cannot be read: ${content}`;
    return;
  }
  if (content.sha256 !== output.sha256 || content.bytes !== output.bytes) {
    yield `an output has ${content.bytes} bytes (${content.sha256.slice(0, 8)}), recorded are ${output.bytes} (${output.sha256.slice(0, 8)})`;
  }
  const isPicture = expected?.kind !== "video" && output.mediaType.startsWith("image/");
  if (isPicture && (content.width !== output.width || content.height !== output.height)) {
    yield `a picture is ${content.width ?? "?"}×${content.height ?? "?"}, recorded is ${output.width ?? "?"}×${output.height ?? "?"}`;
  }
  const prefix = `${job.id}-${output.attempt}`;
  const isOwn = !job.events.some(isReuse);
  if (isPicture && isOwn && !content.prefixes.some((each) => each.includes(prefix))) {
    yield `a picture was made for ${content.prefixes.join(", ") || "nobody"}, not for ${prefix}`;
  }
  if (expected?.kind === "video") {
    if (!output.mediaType.startsWith("video/")) yield `its video is ${output.mediaType}`;
    const { width, height, durationMs } = output;
    const isAsAsked =
      width === expected.width && height === expected.height && durationMs === expected.durationMs;
    if (!isAsAsked) {
      yield `a video is ${width ?? "?"}×${height ?? "?"}, ${durationMs ?? "?"} ms, expected was ${JSON.stringify(expected)}`;
    }
    return;
  }
  if (expected?.kind !== "picture") return;
  if (content.width !== expected.width || content.height !== expected.height) {
    yield `a picture is ${content.width ?? "?"}×${content.height ?? "?"}, expected was ${expected.width}×${expected.height}`;
  }
  if (expected.color !== undefined && content.color !== expected.color) {
    yield `a picture has the colour ${content.color ?? "?"}, expected was ${expected.color}`;
  }
  if (expected.seed !== undefined && !content.seeds.includes(expected.seed)) {
    yield `a picture has the seeds ${content.seeds.join(", ")}, expected was ${expected.seed}`;
  }
}
