import { readTraceparent } from "@genga/jobs";
import { z } from "zod";
import { type AcceptedSubmission } from "../accepting/answer-submission.ts";
import { type Reply } from "../routing/reply.ts";

/** The headers of requests that submit jobs. */
export const submissionHeaders = z.object({
  "Idempotency-Key": z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, { error: "must have 1 to 255 visible ASCII characters" })
    .optional()
    .describe(
      "Makes it safe to repeat the request: while its jobs exist, and for 24 hours after their removal, the same key and body are " +
        "answered as the first time, and nothing is queued again. Refusals are not remembered.",
    ),
  traceparent: z
    .string()
    .optional()
    .describe(
      "The place of the request in a distributed trace (W3C Trace Context). Its jobs tell the id of the trace. A header that is " +
        "not well-formed changes nothing.",
    ),
});
export type SubmissionHeaders = z.output<typeof submissionHeaders>;

/** The header of an answer that was given before. */
export const replayed = {
  "Idempotency-Replayed": {
    description: "`true`: this request was accepted before, under the same Idempotency-Key.",
    schema: { type: "string", enum: ["true"] },
  },
} as const;

/** What the headers of a request say of its submission. */
export function keyOf(headers: SubmissionHeaders): { idempotencyKey?: string; traceparent?: string } {
  const key = headers["Idempotency-Key"];
  const traceparent = readTraceparent(headers.traceparent);
  return { ...(key !== undefined && { idempotencyKey: key }), ...(traceparent !== null && { traceparent }) };
}

export type SubmissionReply = Required<Pick<Reply, "location" | "jsonBytes">> & Pick<Reply, "headers">;

export function replyOf({ location, answer, isReplayed }: AcceptedSubmission): SubmissionReply {
  return {
    ...{ location, jsonBytes: answer },
    ...(isReplayed === true && { headers: { "idempotency-replayed": "true" } }),
  };
}
