// The file below is generated, and not committed. It holds types only: this form of import leaves nothing of it in programs, so
// that they run where it was never generated.
// eslint-disable-next-line no-restricted-syntax
import type { components, paths } from "./generated/api.ts";

export { type paths };

type Schemas = components["schemas"];

export type Job = Schemas["Job"];
export type JobDetail = Schemas["JobDetail"];
export type JobEvent = Schemas["JobEvent"];
export type JobCounts = Schemas["JobCounts"];
export type JobStatus = Job["status"];
export type Batch = Schemas["Batch"];
export type BatchDetail = Schemas["BatchDetail"];
export type Output = Schemas["Output"];
export type Upload = Schemas["Upload"];
export type NewJob = Schemas["NewJob"];
export type NewBatch = Schemas["NewBatch"];
export type Sweep = NonNullable<NewBatch["sweep"]>;
export type AcceptedJob = Schemas["AcceptedJob"];
export type AcceptedBatch = Schemas["AcceptedBatch"];
export type CheckedBatch = Schemas["CheckedBatch"];
export type CancelledBatch = Schemas["CancelledBatch"];
export type RetriedBatch = Schemas["RetriedBatch"];
export type Problem = Schemas["Problem"];
export type FieldProblem = NonNullable<Problem["problems"]>[number];

/** How far a job is, as it is told between two of its events. */
export type JobProgress = Pick<Job, "attempt" | "phase" | "progress"> & { readonly jobId: string };

/** The paths of POSTs that take an Idempotency-Key. */
export type KeyedPath = {
  [Path in keyof paths]: paths[Path] extends { post: { parameters: { header?: infer Headers } } }
    ? [NonNullable<Headers>] extends [never]
      ? never
      : "Idempotency-Key" extends keyof NonNullable<Headers>
        ? Path
        : never
    : never;
}[keyof paths];
