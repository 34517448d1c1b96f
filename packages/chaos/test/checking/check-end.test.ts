import { describe, expect, test } from "@jest/globals";
import { type Forgery, violationsAfter } from "./forgery.ts";
import { type JobHistory, type OutputObservation } from "../../src/history/history.ts";
import { answer, picture } from "./true-history.ts";

describe("a job's end and its outputs: the check finds", () => {
  const forgeries: Forgery[] = [
    [
      "a job that failed for no reason",
      /end: it failed without a valid reason: worker-error/,
      (_, job) => {
        const failure = { class: "server", code: "worker-error", message: "oops" };
        const seen = { status: "failed", phase: null, attempt: 2, sequence: 11, percent: 50 } as const;
        job.finalAnswers = [answer({ ...seen, failure })];
      },
    ],
    [
      "a job that was cancelled by nobody",
      /end: it is cancelled, although no client requested/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "cancelled" }),
    ],
    [
      "a completed job without outputs",
      /outputs: it completed without an output/,
      (_, job) => (job.outputs = []),
    ],
    ["a second output set", /outputs: it has 2 outputs/, (_, job) => job.outputs.push(picture(job.id))],
    [
      "outputs of another attempt",
      /outputs: an output is of attempt 1/,
      (_, job) => (job.outputs[0]!.attempt = 1),
    ],
    [
      "a broken picture",
      /outputs: an output cannot be read: Error: truncated/,
      (_, job) => (job.outputs[0]!.content = "Error: truncated"),
    ],
    [
      "other bytes than recorded",
      /outputs: an output has 10 bytes/,
      (_, job) => (job.outputs[0]!.sha256 = "bb"),
    ],
    [
      "another job's picture",
      /outputs: a picture was made for/,
      (_, job) => {
        forgeContent(job, { prefixes: ["genga/job-2-1"] });
      },
    ],
    [
      "a picture of the wrong colour",
      /outputs: a picture has the colour/,
      (_, job) => {
        forgeContent(job, { color: 1 });
      },
    ],
    [
      "a picture of the wrong size",
      /outputs: a picture is 32×64, expected was 64×64/,
      (_, job) => {
        forgeContent(job, { width: 32 });
      },
    ],
    [
      "a picture from another seed",
      /outputs: a picture has the seeds 8, expected was 7/,
      (_, job) => {
        job.spec = { kind: "image", width: 64, height: 64, steps: 2, seed: 7, model: "b.safetensors" };
        forgeContent(job, { seeds: [8] });
      },
    ],
    [
      "outputs of a job that did not complete",
      /outputs: it is failed and has 1 outputs/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "failed" }),
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });
});

function forgeContent(
  job: JobHistory,
  changes: Partial<Exclude<OutputObservation["content"], string>>,
): void {
  const output = job.outputs[0]!;
  if (typeof output.content === "string") throw new Error("There is no content to forge.");
  output.content = { ...output.content, ...changes };
}
