import { z } from "zod";
import { uploadId } from "./parameter-rules.ts";

/** Far beyond the number of files that one job makes. */
const outputsMax = 10_000;

/** An output of another job, which completes before this job begins. */
export const outputReferenceSchema = z.strictObject({
  from: z.string().min(1).max(64).describe("The key of a job of the same batch, or the id of a job."),
  output: z.int().min(0).max(outputsMax).describe("The index of the output in that job, from 0."),
});

/** A file that a job begins with: an upload, by its id, or an output of another job. */
export const fileSchema = z.union([uploadId, outputReferenceSchema], {
  error: 'must be the id of an upload, or {"from": the key or id of a job, "output": its index}',
});
export type GivenFile = z.infer<typeof fileSchema>;
