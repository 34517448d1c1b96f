/** The errors of jobs. Each has a stable code, and says whether the same call may succeed later. */
export abstract class JobError extends Error {
  abstract readonly code: string;
  readonly retryable: boolean = false;

  override get name(): string {
    return this.constructor.name;
  }
}

/** One problem of a submission; `path` is a parameter (`width`) or a place in the graph (`workflow.3.inputs.seed`). */
export interface JobProblem {
  path: string;
  code: string;
  message: string;
  nodeId?: string;
  nodeTitle?: string;
  input?: string;
  received?: unknown;
  accepted?: unknown;
}

/** The submission is not valid; nothing was stored. */
export class InvalidJobError extends JobError {
  readonly code = "invalid-job";
  readonly problems: JobProblem[];

  constructor(problems: JobProblem[]) {
    super(problems.map((problem) => problem.message).join(" "));
    this.problems = problems;
  }
}

export class JobNotFoundError extends JobError {
  readonly code = "job-not-found";

  constructor(id: string) {
    super(`There is no job ${id}.`);
  }
}

/** The job was removed, by a request or by retention. */
export class JobRemovedError extends JobError {
  readonly code = "job-removed";

  constructor(id: string) {
    super(`Job ${id} was removed.`);
  }
}

export class BatchNotFoundError extends JobError {
  readonly code = "batch-not-found";

  constructor(id: string) {
    super(`There is no batch ${id}.`);
  }
}

/** The batch was removed, with its last job. */
export class BatchRemovedError extends JobError {
  readonly code = "batch-removed";

  constructor(id: string) {
    super(`Batch ${id} was removed.`);
  }
}

/** The removal of a batch found jobs of it that have not ended. */
export class BatchNotEndedError extends JobError {
  readonly code = "batch-not-ended";

  constructor(removed: number) {
    const before = removed === 0 ? "" : ` ${removed} of its jobs were removed before one was tried again.`;
    super(`Jobs of the batch have not ended; cancel it before it can be removed.${before}`);
  }
}

/** The retry needs extra data again, because it was erased when the jobs ended. Nothing was changed. */
export class ExtraDataNeededError extends JobError {
  readonly code = "extra-data-needed";

  constructor(jobs: number) {
    const which = jobs === 1 ? "The job was" : `${jobs} of the jobs were`;
    super(
      `${which} submitted with extraData that must stay secret; nobody can read it again, and it is erased when a job ends. Send it ` +
        'again in the body: {"extraData": {…}}. Nothing was changed.',
    );
  }
}

/** The job cannot be queued again, because a job that it depends on has ended without success. Nothing was changed. */
export class NeededJobEndedError extends JobError {
  readonly code = "needed-job-ended";

  constructor(needed: { jobId: string; status: string }) {
    const advice =
      needed.status === "removed"
        ? "so this job can never run; submit it anew."
        : "retry that one first: jobs that failed because of it are queued again with it.";
    super(`Job ${needed.jobId}, on which it depends, is ${needed.status}; ${advice}`);
  }
}

/** The state machine does not allow this change of status. */
export class IllegalTransitionError extends JobError {
  readonly code = "illegal-transition";
  readonly from: string;
  readonly to: string;

  constructor(from: string, to: string) {
    super(`A job that is ${from} cannot become ${to}.`);
    this.from = from;
    this.to = to;
  }
}

/** Another worker holds the job's lease now. The caller must stop, discard its results, and not repeat the effect. */
export class LeaseLostError extends JobError {
  readonly code = "lease-lost";

  constructor(jobId: string, attempt: number, leaseNumber: number) {
    super(`The lease ${leaseNumber} of attempt ${attempt} on job ${jobId} was taken by another worker.`);
  }
}

/** The names of a tenant's limits in refusals. */
export const tenantLimitNames = [
  "jobs-queued",
  "jobs-running",
  "requests-per-minute",
  "requests-at-once",
  "body-bytes-at-once",
  "event-streams",
] as const;
export type TenantLimitName = (typeof tenantLimitNames)[number];

/** A tenant has reached a limit; the same call succeeds once the tenant uses less. Nothing was changed. */
export class LimitReachedError extends JobError {
  readonly code = "limit-reached";
  override readonly retryable = true;
  readonly limit: TenantLimitName;
  readonly max: number;
  readonly used: number;
  readonly wanted: number;

  constructor(facts: { limit: TenantLimitName; max: number; used: number; wanted: number }) {
    super(
      `The limit ${facts.limit} is ${facts.max}; ${facts.used} are used, and ${facts.wanted} more are wanted.`,
    );
    this.limit = facts.limit;
    this.max = facts.max;
    this.used = facts.used;
    this.wanted = facts.wanted;
  }
}

/** Why PostgreSQL did not execute a statement. */
export type StoreFault = "unreachable" | "timeout" | "busy";

const storeFaultMessages: Readonly<Record<StoreFault, string>> = {
  unreachable: "The database is not reachable right now.",
  timeout: "The database did not answer in time.",
  busy: "The database refuses work right now.",
};

/** Events that followed the cursor were removed from the feed: read the jobs themselves, and begin anew. */
export class CursorTooOldError extends JobError {
  readonly code = "cursor-too-old";

  constructor(position: bigint, removedUpTo: bigint) {
    super(`Events after position ${position} were removed from the feed, up to position ${removedUpTo}.`);
  }
}

/** The feed never came as far as the cursor: another database wrote it, or this one was restored from a backup. */
export class CursorFromTheFutureError extends JobError {
  readonly code = "cursor-from-the-future";

  constructor(position: bigint, last: bigint) {
    super(`The feed has come to position ${last}, and not to position ${position}.`);
  }
}

/** PostgreSQL cannot be reached, is too slow or refuses work for now; the same call may work later. */
export class StoreUnavailableError extends JobError {
  readonly code = "store-unavailable";
  override readonly retryable = true;
  readonly fault: StoreFault;
  /** The statement certainly had no effect: it was never sent, or PostgreSQL rolled it back. */
  readonly wasRefused: boolean;
  /**
   * Whether any try of the whole change can have taken effect; undefined when the caller did not keep track of its
   * tries.
   */
  readonly effect: "none" | "unknown" | undefined;

  constructor(
    cause: unknown,
    known: { fault?: StoreFault; wasRefused?: boolean; effect?: "none" | "unknown" } = {},
  ) {
    const { fault = "unreachable", wasRefused = false, effect } = known;
    super(storeFaultMessages[fault], { cause });
    this.fault = fault;
    this.wasRefused = wasRefused;
    this.effect = effect;
  }
}

/** Another job has the place of this prompt (`NewDoorPrompt`). Nothing was stored. */
export class PromptTakenError extends JobError {
  readonly code = "prompt-taken";

  constructor() {
    super("The same prompt was accepted meanwhile. Nothing was stored.");
  }
}

/** The request had its Idempotency-Key for so long that another request took it over. Nothing was stored. */
export class ClaimLostError extends JobError {
  readonly code = "claim-lost";

  constructor() {
    super(
      "Another request with the same Idempotency-Key took over, because this one took too long. Nothing was stored.",
    );
  }
}

/** Redis cannot be reached; the sweeper adds the missing tickets when Redis is back. */
export class TicketsUnavailableError extends JobError {
  readonly code = "tickets-unavailable";
  override readonly retryable = true;

  constructor(cause: unknown) {
    super("Redis is not reachable right now.", { cause });
  }
}

/** A file could not be stored or read. */
export class StorageError extends JobError {
  readonly code: string;
  override readonly retryable: boolean;

  constructor(code: string, message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable;
  }
}
