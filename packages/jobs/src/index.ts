export { type FarmPause, type FarmStore } from "./ports/farm-store.ts";
export {
  attemptOutcomes,
  failureClasses,
  inputKinds,
  isOfKind,
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
  type ChainJob,
  type JobDependency,
  type JobEvent,
  type JobEventType,
  type InputKind,
  type JobFailure,
  type JobInput,
  type JobOutput,
  type JobParameters,
  type StoredParameters,
  type JobPhase,
  type JobPriority,
  type JobProgress,
  type JobStatus,
  type JobType,
  type Json,
  type NewBatch,
  type JobLabels,
  type TemplateVersionName,
  type UsedTemplate,
  type NewJob,
  type NewJobInput,
  type NewOutput,
} from "./job/job.ts";
export { announcementOf } from "./running/announcement.ts";
export { cut, promptOf, promptTextOf, shownPrompt, type JobPrompt } from "./job/job-prompt.ts";
export {
  isStorableJson,
  toStorableJson,
  toStorableText,
  unstorable,
  withoutNul,
} from "./job/storable-text.ts";
export { readTraceparent, traceIdOf } from "./job/traceparent.ts";
export { isTerminal, mayAdvance, mayBecome, mayBeRetried, type TerminalStatus } from "./job/job-states.ts";
export {
  BatchNotEndedError,
  BatchNotFoundError,
  BatchRemovedError,
  ClaimLostError,
  PromptTakenError,
  CursorFromTheFutureError,
  CursorTooOldError,
  ExtraDataNeededError,
  IllegalTransitionError,
  InvalidJobError,
  JobError,
  JobNotFoundError,
  JobRemovedError,
  LeaseLostError,
  LimitReachedError,
  NeededJobEndedError,
  StorageError,
  StoreUnavailableError,
  type StoreFault,
  TicketsUnavailableError,
  tenantLimitNames,
  type JobProblem,
  type TenantLimitName,
} from "./job/job-errors.ts";
export {
  type Announcement,
  type ClearedPage,
  type ClearingPosition,
  type JobAnnouncer,
  type RepricedPage,
  type TicketReference,
} from "./ports/job-announcer.ts";
export {
  type BatchFilter,
  type JobFilter,
  type JobReader,
  type JobsBefore,
  type MadeJob,
  type OutputFilter,
  type OutputPlace,
  type Page,
  type EndCounts,
  type QueueSummary,
  type ShownJob,
  type WaitingTenant,
  type TenantJobReader,
} from "./ports/job-reader.ts";
export {
  type BatchCancelResult,
  type BatchRemoval,
  type CancelOptions,
  type CancelResult,
  type WaitingChange,
  type JobRequests,
  type NewSubmission,
  type SealForJob,
  type TellPassedOn,
} from "./ports/job-requests.ts";
export {
  type AttemptEnd,
  type AttemptResult,
  type Candidate,
  type Claim,
  type DoorRun,
} from "./ports/job-runs.ts";
export { type HeartbeatResult, type JobLease, type JobRuns, type LeasedJob } from "./ports/job-runs.ts";
export { type SweeperWork } from "./ports/job-runs.ts";
export { type PassedOn, type ProgressReport } from "./ports/job-runs.ts";
export {
  type EndedPrompt,
  type Excess,
  type StorageHold,
  type KeeperWork,
  type KeepingStore,
  type ScanPosition,
  type Overdue,
  type RemovedJob,
  type RetentionLimits,
  type UnusedRows,
} from "./ports/keeping-store.ts";
export {
  type EventReader,
  type EventScope,
  type Assigned,
  type EventSequencer,
  type FeedPage,
  type PlacedEvent,
} from "./ports/event-store.ts";
export { EventFeed, type EventFeedOptions, type Listener, type Subscription } from "./feed/event-feed.ts";
export { type FeedCursor, type Outbox } from "./feed/outbox.ts";
export { laterOf, type LiveProgress } from "./feed/progress-memory.ts";
export { finishRemoval } from "./running/finish-removal.ts";
export {
  askedReason,
  recycleOutcomes,
  type RecycleOutcome,
  type ServerUpkeep,
  type UpkeepRecord,
} from "./ports/server-upkeep.ts";
export {
  type AddedServer,
  type NewAddedServer,
  serverAuthorizationIdentity,
  type ServerSourcesStore,
} from "./ports/server-sources.ts";
export {
  noServerId,
  serverSources,
  serverStates,
  shownServerStates,
  takesWork,
  type NewServer,
  type ServerLease,
  type ServerModel,
  type ServerAbilities,
  type ServerDevice,
  type ServerRecord,
  type StoredDefinitions,
  type ServerSource,
  type ServerState,
  type ServerStore,
  type ShownServerState,
  type TakenServer,
  type WorkerRecord,
} from "./ports/server-store.ts";
export {
  actorOf,
  type Actor,
  type AuditEvent,
  type AuditStore,
  type NewAuditEvent,
} from "./ports/audit-store.ts";
export {
  isKeyName,
  isTenantName,
  KeyNameTakenError,
  type AccessKey,
  type KeyStore,
  type NewAccessKey,
  type ToldKey,
} from "./ports/key-store.ts";
export {
  type FoundSession,
  type NewSession,
  type Session,
  type SessionStore,
} from "./ports/session-store.ts";
export { type GuessedJob, type GuessedLanes } from "./ports/guessed-lanes.ts";
export { type LaneStore } from "./ports/lane-store.ts";
export { jobMarks, type JobMark, type JobMarks } from "./ports/job-marks.ts";
export { type LanePause, type LanePauses } from "./ports/lane-pauses.ts";
export {
  type LaneClock,
  type LaneClocks,
  type LaneFacts,
  type LaneMeasure,
  type LaneServing,
} from "./ports/lane-serving.ts";
export { type DurationRow, type DurationSample } from "./ports/run-durations.ts";
export { type EstimateError, type RunDurations } from "./ports/run-durations.ts";
export {
  type RunningWork,
  type WaitingWork,
  type WorkBefore,
  type WorkOutlook,
} from "./ports/work-outlook.ts";
export { durationKeys, loadKeys, type RunKind } from "./estimates/run-kind.ts";
export { estimateLoad, estimateRun, samplesOf, withSample } from "./estimates/durations.ts";
export { type MeasuredRun, type RunEstimate, type TimeRange } from "./estimates/durations.ts";
export { previewMediaTypes, type PreviewNote, type PreviewPicture } from "./ports/previews.ts";
export { type PreviewGiver, type PreviewTaker, type PreviewWish } from "./ports/previews.ts";
export { busyWith, doneAfterMs, type BusyFor } from "./estimates/outlook.ts";
export { publicNameOf } from "./secrets/public-name.ts";
export { roleIncludes, roles, type Principal, type Role } from "./ports/principal.ts";
export { type Tenant, type TenantStore } from "./ports/tenant-store.ts";
export { templatesMax, type NewTemplateVersion, type StoredTemplate } from "./ports/template-store.ts";
export { type TemplateFinder, type TemplateReference, type TemplateSaved } from "./ports/template-store.ts";
export { type TemplateStore } from "./ports/template-store.ts";
export { type Place, type PlaceKind, type TenantAdmissions } from "./ports/tenant-admissions.ts";
export { limitsOf, noTenantLimitChoices, type TenantLimitChoices } from "./ports/tenant-limits.ts";
export { type TenantLimits, type TenantLimitStore } from "./ports/tenant-limits.ts";
export {
  ticketId,
  type HeldTicket,
  type LaneHead,
  type TicketEnd,
  type TicketQueue,
} from "./ports/ticket-queue.ts";
export {
  type JobSignal,
  type Signals,
  type SignalTopic,
  type SignalTopics,
  type TakenBack,
} from "./ports/signals.ts";
export { leaseNumberOfFolder, outputFolderKey, outputStorageKey } from "./ports/output-storage.ts";
export { partialFileAgeMs, type OutputStorage, type CheckedFile } from "./ports/output-storage.ts";
export { type StoredFile } from "./ports/output-storage.ts";
export {
  type Asset,
  type AssetFields,
  type AssetFinder,
  assetsOfContentMax,
  type AssetStore,
} from "./ports/asset-store.ts";
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
} from "./ports/upload-store.ts";
export { type ClaimOutcome, type IdempotencyClaim, type IdempotencyKey } from "./ports/idempotency-store.ts";
export { type IdempotencyStore, type KeyedRequest } from "./ports/idempotency-store.ts";
export { abandonedServerIds, liveWorkerIds, retiredServerIds } from "./running/retired-servers.ts";
export {
  lacksSecrets,
  openExtraData,
  readExtraData,
  sealExtraData,
  type ExtraData,
} from "./secrets/extra-data.ts";
export { openSecretBox, SecretBox, SecretBoxError } from "./secrets/secret-box.ts";
export { TenantNames } from "./secrets/tenant-names.ts";
export {
  type JudgedSubmitter,
  type NamedClass,
  type Remarks,
  type ResolvedWorkflow,
  type Submitter,
  type WorkflowResolver,
} from "./ports/workflow-resolver.ts";
export { LanePicture, type PictureLane, type PictureServer } from "./scheduling/lane-picture.ts";
export { chooseLane, type LaneChoice, type LaneReason } from "./scheduling/choose-lane.ts";
export {
  defaultLaneSettings,
  type FirstTicket,
  type LaneSettings,
  type LaneState,
  type SchedulingServer,
} from "./scheduling/lane-state.ts";
export {
  bandPriorities,
  baseFor,
  rankWindow,
  readTicketPriority,
  ticketPriority,
  type TicketPosition,
} from "./scheduling/ticket-rank.ts";
export { LaneTurns, type LaneFirst } from "./scheduling/lane-turns.ts";
export { rankMax, rankStep, stepMax, stepMin, unitsPerRun, unmeasuredRunMs } from "./scheduling/rank-step.ts";
export {
  emptyTenantQueue,
  extendQueue,
  rankInSpan,
  rankTolerance,
  spanOf,
  unitsOfLane,
  waitingUnits,
  waitingUnitsMax,
  type LaneWork,
  type NewJobs,
  type TenantQueue,
} from "./scheduling/tenant-queue.ts";
export { areShort, isLate, promptsAllowed, type LaneRuns } from "./scheduling/queue-depth.ts";
export { agedBandsMax, jobThatAges, type WaitingJob } from "./scheduling/ageing.ts";
export { backoffMs, endAfterFailure, poisonCode } from "./running/retry-rule.ts";
export { WaitingJobs } from "./requests/waiting-jobs.ts";
export { JobManager, type JobManagerOptions } from "./requests/job-manager.ts";
export { present } from "./requests/present.ts";
export { labelsOf, problemsAsSaid, type JobOptions, type FirstGraph } from "./requests/prepare-jobs.ts";
export { type JobRequest, type RerunOf } from "./requests/prepare-jobs.ts";
export { defaultLane, laneOf, type Lane, type ServerNeeds } from "./job/lane.ts";
export { isServerLabel, labelShape, labelsMax } from "./job/server-label.ts";
export { AttemptRecorder, eventSignal } from "./running/attempt-recorder.ts";
export { publishFailures, type StatusUpdate } from "./running/attempt-recorder.ts";
export { outputMember } from "./requests/output-references.ts";
export { TicketAnnouncer } from "./requests/ticket-announcer.ts";
export {
  givenBackCode,
  takenBackCode,
  type PromptGraph,
  type TakeBacks,
  type WaitingPrompt,
} from "./ports/take-backs.ts";
export { takeBacksFor, type EmptyServer } from "./scheduling/take-back.ts";
export { usualWebhookEvents, webhookEventTypes, webhookTestType } from "./job/webhook.ts";
export { webhookDeliveryStatuses, webhookSecretIdentity } from "./job/webhook.ts";
export { type NewWebhook, type SubmittedWebhook, type Webhook, type WebhookDelivery } from "./job/webhook.ts";
export { type WebhookDeliveryStatus, type WebhookEventType } from "./job/webhook.ts";
export { type DeliveryResult, type DueDelivery } from "./ports/webhook-store.ts";
export { type WebhookQueue, type WebhookStore } from "./ports/webhook-store.ts";
export { type DoorRewrite, type NewDoorPrompt } from "./job/door-prompt.ts";
export {
  type DoorEntry,
  type DoorPrompt,
  type DoorPrompts,
  type DoorPromptWithGraph,
  type PromptSender,
  type EndedDoorPrompt,
} from "./ports/door-prompts.ts";
export {
  doorFileSource,
  doorFileTypes,
  type DoorFile,
  type DoorFileName,
  type DoorFiles,
  type DoorFileType,
  type UnnamedDoorFile,
} from "./ports/door-files.ts";
export {
  type DoorMessage,
  type DoorMessageGiver,
  type DoorMessageListener,
  type DoorMessageTaker,
  type DoorNote,
} from "./ports/door-messages.ts";
export { type DoorClients, type UntoldEnd, untoldKeptMs, untoldOfClientMax } from "./ports/door-clients.ts";
