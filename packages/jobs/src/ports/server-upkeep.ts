import { type Actor } from "./audit-store.ts";
import { type ServerLease } from "./server-store.ts";

/** `done`; `busy`: prompts of other clients did not end in time; the others say which step failed. */
export const recycleOutcomes = ["done", "busy", "not-freed", "hook-failed"] as const;
export type RecycleOutcome = (typeof recycleOutcomes)[number];

/** What is known of the recycling of one server. */
export interface UpkeepRecord {
  serverId: string;
  /** Prompts that ended on it since it was last recycled. */
  promptsRun: number;
  /** Why it is being recycled, or waits for that; `null` = it is not. */
  recycleReason: string | null;
  recycleAskedAt: Date | null;
  /** When its present owner, or an earlier one, began. */
  recycleBegunAt: Date | null;
  /** The end of the last recycling, whatever became of it. */
  last: { at: Date; reason: string; outcome: RecycleOutcome; message: string | null } | null;
}

/** The recycling of servers. A server's owner carries it out; every method throws `StoreUnavailableError`. */
export interface ServerUpkeep {
  /**
   * How many jobs are processed on these servers, whoever holds their leases, with those whose outputs are being saved.
   */
  countProcessing(serverIds: readonly string[]): Promise<number>;
  /** Of those of these servers (absent: of all) about which something is known. */
  listUpkeep(serverIds?: readonly string[]): Promise<UpkeepRecord[]>;
  /**
   * Asks the server's owner, now or later, to recycle it; recorded as an audit event. Has no effect while it is wanted
   * already. `false` = there is no such server.
   */
  askRecycle(serverId: string, by: Actor): Promise<boolean>;
  /** Counts prompts that ended. Fenced by the server's lease; `false` = another worker has the lease. */
  notePrompts(lease: ServerLease, count: number): Promise<boolean>;
  /** Notes that the server is being recycled, so that its next owner finishes what this one does not. Fenced, too. */
  beginRecycle(lease: ServerLease, reason: string): Promise<boolean>;
  /** Fenced, too. */
  endRecycle(lease: ServerLease, end: { outcome: RecycleOutcome; message: string | null }): Promise<boolean>;
}

/** The reason of a recycling that an operator asked for. */
export const askedReason = "an operator asked for it";
