export { type FarmPause, type FarmStore } from "./farm-store.ts";
export {
  attemptOutcomes,
  failureClasses,
  jobEventTypes,
  jobPhases,
  jobPriorities,
  jobStatuses,
  jobTypes,
  type AttemptOutcome,
  type Batch,
  type FailureClass,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobEventType,
  type JobFailure,
  type JobOutput,
  type JobParameters,
  type JobPhase,
  type JobPriority,
  type JobProgress,
  type JobStatus,
  type JobType,
  type Json,
  type NewBatch,
  type NewJob,
  type NewOutput,
} from "./job.ts";
export { announcementOf } from "./announcement.ts";
export { promptOf, promptTextOf, shownPrompt, type JobPrompt } from "./job-prompt.ts";
export {
  assertMayBecome,
  isTerminal,
  mayAdvance,
  mayBecome,
  statusesBefore,
  type TerminalStatus,
} from "./job-states.ts";
export {
  BatchNotFoundError,
  ExtraDataNeededError,
  IllegalTransitionError,
  InvalidJobError,
  JobError,
  JobNotFoundError,
  JobRemovedError,
  LeaseLostError,
  LimitReachedError,
  StorageError,
  StoreUnavailableError,
  type StoreFault,
  TicketsUnavailableError,
  tenantLimitNames,
  type JobProblem,
  type TenantLimitName,
} from "./job-errors.ts";
export {
  type Announcement,
  type AttemptEnd,
  type AttemptResult,
  type BatchCancelResult,
  type CancelResult,
  type Candidate,
  type Claim,
  type HeartbeatResult,
  type JobFilter,
  type JobLease,
  type JobStore,
  type LeasedJob,
  type Page,
  type ProgressReport,
  type QueueSummary,
  type SealForJob,
  type TicketReference,
} from "./job-store.ts";
export {
  type EndedPrompt,
  type Excess,
  type FullDisk,
  type KeepingStore,
  type LookPosition,
  type Overdue,
  type RemovedJob,
  type RetentionLimits,
  type UnusedRows,
} from "./keeping-store.ts";
export { finishRemoval } from "./finish-removal.ts";
export {
  serverStates,
  shownServerStates,
  takesWork,
  type ServerLease,
  type ServerAbilities,
  type ServerRecord,
  type StoredDefinitions,
  type ServerState,
  type ServerStore,
  type ShownServerState,
  type WorkerRecord,
} from "./server-store.ts";
export { actorOf, type Actor, type AuditEvent, type AuditStore, type NewAuditEvent } from "./audit-store.ts";
export {
  isKeyName,
  isTenantName,
  KeyNameTakenError,
  type AccessKey,
  type KeyStore,
  type NewAccessKey,
  type ToldKey,
} from "./key-store.ts";
export { publicNameOf } from "./public-name.ts";
export { roleIncludes, roles, type Principal, type Role } from "./principal.ts";
export { type Tenant, type TenantStore } from "./tenant-store.ts";
export { type Place, type PlaceKind, type TenantAdmissions } from "./tenant-admissions.ts";
export {
  limitsOf,
  noTenantLimitChoices,
  type TenantLimitChoices,
  type TenantLimits,
  type TenantLimitStore,
} from "./tenant-limits.ts";
export {
  ticketId,
  ticketPriority,
  type HeldTicket,
  type TicketEnd,
  type TicketQueue,
} from "./ticket-queue.ts";
export { type JobSignal, type Signals, type SignalTopic, type SignalTopics } from "./signals.ts";
export {
  leaseNumberOfFolder,
  outputFolderKey,
  outputStorageKey,
  partialFileAgeMs,
  type OutputStorage,
  type StoredFile,
} from "./output-storage.ts";
export {
  readUploadName,
  uploadFolder,
  uploadMediaTypes,
  uploadName,
  uploadStorageKey,
  type NewUpload,
  type Upload,
  type UploadFinder,
  type UploadMediaType,
  type UploadStore,
} from "./upload-store.ts";
export { liveWorkerIds, retiredServerIds } from "./retired-servers.ts";
export { openExtraData, readExtraData, sealExtraData, type ExtraData } from "./extra-data.ts";
export { SecretBox, SecretBoxError } from "./secret-box.ts";
export { TenantNames } from "./tenant-names.ts";
export {
  type NamedClass,
  type ResolvedWorkflow,
  type Submitter,
  type WorkflowResolver,
} from "./workflow-resolver.ts";
export { backoffMs, endAfterFailure, poisonCode } from "./retry-rule.ts";
export { JobManager, type JobManagerOptions } from "./job-manager.ts";
export { defaultLane, type JobOptions, type JobRequest, type Remarks } from "./prepare-jobs.ts";
export { AttemptRecorder, eventSignal, type StatusUpdate } from "./attempt-recorder.ts";
