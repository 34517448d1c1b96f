import {
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
} from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";
import { removeUnusedLanes } from "../lanes/remove-lanes.ts";
import { forgetEndCounts } from "./count-ends.ts";
import { listStorageHolds, noteStorageHold, noteStorageFree } from "./storage-holds.ts";
import { forgetKeys } from "./forget-keys.ts";
import { findKeeperWork } from "./find-keeper-work.ts";
import { foldCounts } from "./fold-counts.ts";
import { noteUploads } from "./note-uploads.ts";
import { finishRemovals, listPendingRemovals, putOffRemovals } from "./pending-removals.ts";
import { giveUpPrompts, listPromptsToForget, notePromptsForgotten } from "./prompts-to-forget.ts";
import { removeEnded } from "./remove-jobs.ts";
import { removeDoorEnds, removeExcessDoorEnds } from "./remove-door-ends.ts";
import { removeEndedSessions } from "./remove-sessions.ts";
import { forgetRemoved, listExcess, listOverdue } from "./retention.ts";
import { removeUnused } from "./unused-rows.ts";
import { removeUploadFiles } from "./upload-files.ts";

/**
 * Removes from PostgreSQL what is no longer needed. Each method has a file of its own; errors of all of them are mapped
 * here.
 */
export class PrismaKeepingStore implements KeepingStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  findKeeperWork(): Promise<KeeperWork> {
    return withMappedErrors(() => findKeeperWork(this.#database));
  }

  foldCounts(limit: number): Promise<number> {
    return withMappedErrors(() => foldCounts(this.#database, limit));
  }

  forgetEndCounts(ageMs: number): Promise<number> {
    return withMappedErrors(() => forgetEndCounts(this.#database, ageMs));
  }

  listExcess(limits: RetentionLimits, options: { graceMs: number }): Promise<Excess[]> {
    return withMappedErrors(() => listExcess(this.#database, limits, options));
  }

  listOverdue(limits: RetentionLimits, options: { graceMs: number; limit: number }): Promise<Overdue[]> {
    return withMappedErrors(() => listOverdue(this.#database, limits, options));
  }

  removeEnded(ids: string[]): Promise<RemovedJob[]> {
    return withMappedErrors(() => removeEnded(this.#database, ids));
  }

  forgetKeys(ageMs: number, limit: number): Promise<number> {
    return withMappedErrors(() => forgetKeys(this.#database, ageMs, limit));
  }

  removeEndedSessions(limit: number): Promise<number> {
    return withMappedErrors(() => removeEndedSessions(this.#database, limit));
  }

  removeDoorEnds(ageMs: number, limit: number): Promise<number> {
    return withMappedErrors(() => removeDoorEnds(this.#database, ageMs, limit));
  }

  removeExcessDoorEnds(keptMax: number, limit: number): Promise<number> {
    return withMappedErrors(() => removeExcessDoorEnds(this.#database, keptMax, limit));
  }

  forgetRemoved(ageMs: number, limit: number): Promise<number> {
    return withMappedErrors(() => forgetRemoved(this.#database, ageMs, limit));
  }

  noteUploads(limit: number): Promise<number> {
    return withMappedErrors(() => noteUploads(this.#database, limit));
  }

  removeUnused(options: {
    from: ScanPosition;
    limit: number;
    graceMs: number;
    uploadsUnusedMs: number | null;
  }): Promise<{ removed: UnusedRows; next: ScanPosition }> {
    return withMappedErrors(() => removeUnused(this.#database, options));
  }

  removeUnusedLanes(unusedMs: number, limit: number): Promise<number> {
    return withMappedErrors(() => removeUnusedLanes(this.#database, unusedMs, limit));
  }

  noteStorageHold(hold: StorageHold): Promise<void> {
    return withMappedErrors(() => noteStorageHold(this.#database, hold));
  }

  noteStorageFree(workerId: string): Promise<void> {
    return withMappedErrors(() => noteStorageFree(this.#database, workerId));
  }

  listStorageHolds(withinMs: number): Promise<StorageHold[]> {
    return withMappedErrors(() => listStorageHolds(this.#database, withinMs));
  }

  listPendingRemovals(limit: number): Promise<RemovedJob[]> {
    return withMappedErrors(() => listPendingRemovals(this.#database, limit));
  }

  finishRemovals(jobIds: string[]): Promise<void> {
    return withMappedErrors(() => finishRemovals(this.#database, jobIds));
  }

  putOffRemovals(jobIds: string[], delayMs: number): Promise<void> {
    return withMappedErrors(() => putOffRemovals(this.#database, jobIds, delayMs));
  }

  listPromptsToForget(serverIds: string[], limit: number): Promise<EndedPrompt[]> {
    return withMappedErrors(() => listPromptsToForget(this.#database, serverIds, limit));
  }

  notePromptsForgotten(promptIds: string[]): Promise<void> {
    return withMappedErrors(() => notePromptsForgotten(this.#database, promptIds));
  }

  giveUpPrompts(ageMs: number, limit: number): Promise<number> {
    return withMappedErrors(() => giveUpPrompts(this.#database, ageMs, limit));
  }

  removeUploadFiles(limit: number, remove: (storageKeys: string[]) => Promise<void>): Promise<number> {
    return withMappedErrors(() => removeUploadFiles(this.#database, limit, remove));
  }
}
