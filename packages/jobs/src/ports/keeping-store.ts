/** A job whose rows are removed, and whose tickets and files still are to be removed. */
export interface RemovedJob {
  id: string;
  lane: string;
  /** Tickets were added for the attempts up to this one, and perhaps for the next. */
  attempt: number;
  /** The number of its latest ticket; see `TicketReference`. */
  ticketNumber: number;
  /** Storage keys of its files that other jobs still need; they stay. */
  keptFiles: string[];
}

/** A prompt whose attempt has ended, and the server that ran it. */
export interface EndedPrompt {
  promptId: string;
  serverId: string;
}

/** How many of its ended jobs a tenant keeps; `null` = no limit. */
export interface RetentionLimits {
  /** The time since a job ended. */
  ageMs: number | null;
  /** The number of ended jobs. */
  jobs: number | null;
  /** The size of all outputs of ended jobs. */
  bytes: number | null;
}

/** How far a tenant's ended jobs exceed its limits. */
export interface Excess {
  tenantName: string;
  jobs: number;
  bytes: number;
}

/** An ended job that exceeds its tenant's limits. */
export interface Overdue {
  id: string;
  tenantName: string;
  bytes: number;
}

/** A worker could not store outputs, and claims no jobs meanwhile. */
export interface StorageHold {
  workerId: string;
  /** Of the disk; 0 = not known. */
  freeBytes: number;
  wantedBytes: number;
  /** Why its storage cannot be written to; `null` = the disk has less free space than it needs. */
  fault: string | null;
}

/** How many unused rows were removed. */
export interface UnusedRows {
  /** Records over uploads whose own time is over. */
  expiredAssets: number;
  graphs: number;
  batches: number;
  uploads: number;
  /** Archived templates that no job names. */
  templates: number;
}

/** Where a scan over all rows continues; a scan begins with `{}`. */
export interface ScanPosition {
  graph?: string;
  batch?: string;
  upload?: string;
}

export interface KeeperWork {
  hasCounts: boolean;
  hasEvents: boolean;
  hasRemovals: boolean;
}

/**
 * Removes from the database what is no longer needed, in small steps. The process that holds the lease "keeping" calls
 * it. Times are the database's clock. Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface KeepingStore {
  // ── counts ─────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Which of the steps that run every second have something to do, by one statement. */
  findKeeperWork(): Promise<KeeperWork>;
  /**
   * Adds up to `limit` changes of the counts of queued jobs, and as many of ended ones, to their base rows.
   * @returns how many, of the kind that had more
   */
  foldCounts(limit: number): Promise<number>;
  /** Removes what is known of ends that are older. */
  forgetEndCounts(ageMs: number): Promise<number>;

  // ── retention ──────────────────────────────────────────────────────────────────────────────────────────────────
  /** What each tenant has beyond its limits, counted job by job; for a preview by an operator. */
  listExcess(limits: RetentionLimits, options: { graceMs: number }): Promise<Excess[]>;
  /** Up to `limit` jobs beyond the limits, the oldest of each tenant first. None that ended less than `graceMs` ago. */
  listOverdue(limits: RetentionLimits, options: { graceMs: number; limit: number }): Promise<Overdue[]>;
  /** Removes those of the jobs that have ended and that no other transaction is changing now. */
  removeEnded(ids: string[]): Promise<RemovedJob[]>;
  /**
   * Removes up to `limit` tombstones that are older than `ageMs`; the API answers 404 for such ids from then on.
   * Returns how many.
   */
  forgetRemoved(ageMs: number, limit: number): Promise<number>;
  /**
   * Forgets up to `limit` Idempotency-Keys whose job or batch was removed more than `ageMs` ago, keys of requests that
   * ended unanswered as long ago, and those that are known no longer. Returns how many.
   */
  forgetKeys(ageMs: number, limit: number): Promise<number>;
  /** Removes up to `limit` sessions that have expired, or whose created key has ended. Returns how many. */
  removeEndedSessions(limit: number): Promise<number>;
  /**
   * Removes up to `limit` ends of prompts of which clients were not told (`DoorClients`): those older than `ageMs`. Returns how many.
   */
  removeDoorEnds(ageMs: number, limit: number): Promise<number>;
  /** The same of clients for which more than `keptMax` ends are kept: the oldest ones. */
  removeExcessDoorEnds(keptMax: number, limit: number): Promise<number>;

  // ── rows without a use ─────────────────────────────────────────────────────────────────────────────────────────
  /** Records the uploads of jobs that a process of an earlier version accepted. Returns for how many jobs. */
  noteUploads(limit: number): Promise<number>;
  /**
   * Checks `limit` graphs, batches and uploads, beginning at a position, and removes those that no job uses: graphs and
   * batches that are older than `graceMs`, and uploads that no graph has named for `uploadsUnusedMs` (`null` = keep all
   * uploads). Removes up to `limit` expired assets as well.
   */
  removeUnused(options: {
    from: ScanPosition;
    limit: number;
    graceMs: number;
    uploadsUnusedMs: number | null;
  }): Promise<{ removed: UnusedRows; next: ScanPosition }>;

  /**
   * Removes up to `limit` lanes that no job was queued into for `unusedMs`, which is several hours at least, and in which
   * none waits or runs; paused ones stay. Returns how many.
   */
  removeUnusedLanes(unusedMs: number, limit: number): Promise<number>;

  // ── room for outputs ───────────────────────────────────────────────────────────────────────────────────────────
  /** Records that a worker could not store outputs. To be repeated for as long as that is so. */
  noteStorageHold(disk: StorageHold): Promise<void>;
  noteStorageFree(workerId: string): Promise<void>;
  /** What was recorded within `withinMs`, and not ended since. */
  listStorageHolds(withinMs: number): Promise<StorageHold[]>;

  // ── tickets and files ──────────────────────────────────────────────────────────────────────────────────────────
  /** Up to `limit` removed jobs whose tickets and files are due to be removed. */
  listPendingRemovals(limit: number): Promise<RemovedJob[]>;
  /** The tickets and files of these jobs are removed. */
  finishRemovals(jobIds: string[]): Promise<void>;
  /** The tickets or files of these jobs could not be removed; they are due again after `delayMs`. */
  putOffRemovals(jobIds: string[], delayMs: number): Promise<void>;
  /**
   * Calls `remove` with up to `limit` keys of upload files that no row names any more, and forgets the keys when
   * `remove` is done. Meanwhile uploads of the same content wait, since their file would be removed, too. Returns how
   * many files there were.
   */
  removeUploadFiles(limit: number, remove: (storageKeys: string[]) => Promise<void>): Promise<number>;

  // ── prompts that servers may still have ────────────────────────────────────────────────────────────────────────
  /**
   * For each of these servers up to `limit` prompts whose attempts ended some seconds ago, and which the server may
   * still have.
   */
  listPromptsToForget(serverIds: string[], limit: number): Promise<EndedPrompt[]>;
  /** The servers have removed these prompts from their queue and their history. */
  notePromptsForgotten(promptIds: string[]): Promise<void>;
  /**
   * Forgets up to `limit` prompts that ended longer than `ageMs` ago, because their servers no longer exist. Returns
   * how many.
   */
  giveUpPrompts(ageMs: number, limit: number): Promise<number>;
}
