/** What is left to be done after a job's rows are gone: its tickets and its files. */
export interface RemovedJob {
  id: string;
  lane: string;
  /** Tickets were made for the attempts up to this one, and perhaps for the next. */
  attempt: number;
}

/** A prompt whose attempt has ended, and the server that ran it. */
export interface EndedPrompt {
  promptId: string;
  serverId: string;
}

/** How much a tenant keeps of its ended jobs; `null` = all. */
export interface RetentionLimits {
  /** Since their end. */
  ageMs: number | null;
  /** Ended jobs. */
  jobs: number | null;
  /** Of their outputs. */
  bytes: number | null;
}

/** Ended jobs of one tenant that are more than it keeps. */
export interface Excess {
  tenantName: string;
  jobs: number;
  bytes: number;
}

/** An ended job beyond its tenant's limits. */
export interface Overdue {
  id: string;
  tenantName: string;
  bytes: number;
}

/** The disk on which a worker stores outputs has less room than is wanted; the worker claims nothing meanwhile. */
export interface FullDisk {
  workerId: string;
  freeBytes: number;
  wantedBytes: number;
}

/** What a look for rows without a use removed. */
export interface UnusedRows {
  graphs: number;
  batches: number;
  uploads: number;
}

/** Where a look over all rows goes on; the first one begins with `{}`. */
export interface LookPosition {
  graph?: string;
  batch?: string;
  upload?: string;
}

/**
 * How what is no longer needed leaves the database, in small steps for whoever holds the lease "keeping". Times are the
 * database's. Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface KeepingStore {
  // ── counts ─────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Adds up to `limit` changes of the counts of ended jobs to their base; returns how many. */
  foldCounts(limit: number): Promise<number>;

  // ── retention ──────────────────────────────────────────────────────────────────────────────────────────────────
  /** What each tenant has beyond its limits, counted job by job: for a person who wants to know beforehand. */
  listExcess(limits: RetentionLimits, options: { graceMs: number }): Promise<Excess[]>;
  /** Up to `limit` jobs beyond the limits, a tenant's oldest first. None that ended less than `graceMs` ago. */
  listOverdue(limits: RetentionLimits, options: { graceMs: number; limit: number }): Promise<Overdue[]>;
  /** Removes those of the jobs that have ended and that nobody else changes right now. */
  removeEnded(ids: string[]): Promise<RemovedJob[]>;
  /** Forgets, up to `limit`, which ids were removed longer than `ageMs` ago: they answer 404 then. Returns how many. */
  forgetRemoved(ageMs: number, limit: number): Promise<number>;

  // ── rows without a use ─────────────────────────────────────────────────────────────────────────────────────────
  /** Notes which uploads are named by jobs that a process of an earlier version accepted. Returns for how many jobs. */
  noteUploads(limit: number): Promise<number>;
  /**
   * Looks at `limit` graphs, batches and uploads, from a position on, and removes those that no job uses: graphs and
   * batches that are older than `graceMs`, uploads that nobody has named for `uploadsUnusedMs` (`null`: none).
   */
  removeUnused(options: {
    from: LookPosition;
    limit: number;
    graceMs: number;
    uploadsUnusedMs: number | null;
  }): Promise<{ removed: UnusedRows; next: LookPosition }>;

  // ── room on disks ──────────────────────────────────────────────────────────────────────────────────────────────
  /** To be repeated for as long as it is so. */
  noteFullDisk(disk: FullDisk): Promise<void>;
  noteRoom(workerId: string): Promise<void>;
  /** Those that were noted within `withinMs`. */
  listFullDisks(withinMs: number): Promise<FullDisk[]>;

  // ── tickets and files ──────────────────────────────────────────────────────────────────────────────────────────
  /** Up to `limit` removed jobs whose tickets and files are to be removed by now. */
  listPendingRemovals(limit: number): Promise<RemovedJob[]>;
  /** Tickets and files of these jobs are gone. */
  finishRemovals(jobIds: string[]): Promise<void>;
  /** Tickets or files of these jobs could not be removed: they are due again after so long. */
  putOffRemovals(jobIds: string[], delayMs: number): Promise<void>;
  /**
   * Hands out up to `limit` keys of upload files that no row names any more, and forgets them when `remove` is done. Until
   * then nobody can send the same content: it would be removed with the old one. Returns how many files there were.
   */
  removeUploadFiles(limit: number, remove: (storageKeys: string[]) => Promise<void>): Promise<number>;

  // ── prompts that servers may still have ────────────────────────────────────────────────────────────────────────
  /** Up to `limit` of each of these servers: attempts that ended some seconds ago, and nobody said their prompts are gone. */
  listPromptsToForget(serverIds: string[], limit: number): Promise<EndedPrompt[]>;
  /** These prompts are gone from their servers, from the queue and from the history. */
  notePromptsForgotten(promptIds: string[]): Promise<void>;
  /** Forgets, up to `limit`, prompts that ended longer than `ageMs` ago: their servers are gone. Returns how many. */
  giveUpPrompts(ageMs: number, limit: number): Promise<number>;
}
