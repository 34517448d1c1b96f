export {
  GengaClient,
  type GengaClientOptions,
  type RequestOptions,
  type Subject,
  type SubmissionOptions,
} from "./genga-client.ts";
export { GengaError } from "./genga-error.ts";
export { type GengaEvents, type EventChoice, type GengaEvent } from "./events.ts";
export { type WaitOptions } from "./wait-for-end.ts";
export { type Download, type DownloadOptions } from "./download.ts";
export { type ZipFilter, type ZipOptions } from "./zip.ts";
export { type Retries } from "./send-request.ts";
export {
  type AcceptedBatch,
  type AcceptedJob,
  type Batch,
  type BatchDetail,
  type CancelledBatch,
  type CheckedBatch,
  type FieldProblem,
  type Job,
  type JobDetail,
  type JobEvent,
  type JobProgress,
  type JobStatus,
  type NewBatch,
  type NewJob,
  type Output,
  type paths,
  type Problem,
  type RetriedBatch,
  type Sweep,
  type Upload,
} from "./api-types.ts";
