/** An ended prompt of whose end its client was not told. */
export interface UntoldEnd {
  jobId: string;
  clientId: string;
  /** How long ago it ended. */
  agoMs: number;
  /**
   * It ended before any of its client's prompts began that run now, or of which the client hears. A prompt that was sent to the same
   * server later began later, also while the outputs of this one were stored, if this one has run.
   */
  isBeforeRunning: boolean;
}

/**
 * How long the end of a prompt is kept for a client that is away: over a night, a weekend, a journey. Programs that never open a
 * socket have such ends as well, so they are not kept for ever.
 */
export const untoldKeptMs = 7 * 24 * 60 * 60_000;
/** Of one client at most the newest ends are kept, as many as a server has entries in its history. */
export const untoldOfClientMax = 10_000;

/**
 * What clients of ComfyUI's protocol that have sockets must be told. An end is noted in the transaction that ends the job, whoever ends
 * it. Everything is of one tenant. Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface DoorClients {
  /** Prompts of a client that run on a server now, and the node of each, the oldest first. */
  findRunning(tenantId: string, clientId: string): Promise<{ jobId: string; node: string | null }[]>;
  /**
   * Ends of prompts of these clients that are younger than `untoldKeptMs`, the oldest first, at most `ofEachMax` of each client. A job
   * that runs again has no end. @param asked.heardJobIds the prompts of which the clients hear now
   */
  listUntold(
    tenantId: string,
    asked: { clientIds: readonly string[]; heardJobIds?: readonly string[] },
    ofEachMax: number,
  ): Promise<UntoldEnd[]>;
  /**
   * How many prompts of a key wait or run, and, as of the same moment, the jobs of this key of whose ends these clients must be told: at
   * most some hundreds, the oldest first.
   */
  countOpen(
    tenantId: string,
    keyName: string,
    clientIds: readonly string[],
  ): Promise<{ active: number; untold: string[] }>;
  /** The clients were told, or need not be. */
  forgetEnds(tenantId: string, jobIds: readonly string[]): Promise<void>;
}
