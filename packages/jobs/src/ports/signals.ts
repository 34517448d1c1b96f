import { type JobPhase, type JobEvent, type JobProgress, type JobStatus } from "../job/job.ts";

/**
 * The topics of live messages. PostgreSQL has the truth, so a lost message does no harm: receivers also query at
 * intervals.
 */
export interface SignalTopics {
  /** A job's event, or its progress between events. */
  job: JobSignal;
  /** The workers that run these jobs should end them. */
  cancel: { jobIds: string[] };
  /** The workers that run these jobs should take their waiting prompts back (`TakeBacks`). */
  "take-back-asked": { jobIds: string[] };
  /** The prompt of this job was taken back: the owner of the server should claim the next attempt for it. */
  "taken-back": TakenBack;
  /**
   * An API process is about to refuse a job for a missing node or model, so workers should read the definitions again.
   */
  "definitions-wanted": { requestedBy: string };
  /** The definitions of a server were stored. */
  "definitions-read": { serverId: string };
  /**
   * An operator paused or resumed the farm, or drained or resumed a server, so workers should read these settings now.
   */
  "operator-request": { requestedBy: string };
  /** Something waits to be sent to webhooks, so the processes should look now. */
  "deliveries-due": { deliveries: number };
}

/** A job that was queued for one server alone. */
export interface TakenBack {
  jobId: string;
  /** The next attempt. */
  attempt: number;
  ticketNumber: number;
  serverId: string;
}

export type JobSignal =
  | {
      kind: "event";
      jobId: string;
      batchId: string | null;
      /** `null` = a process of an earlier version sent it, and did not say. */
      tenantId: string | null;
      status: JobStatus;
      event: Omit<JobEvent, "createdAt"> & { createdAt: string };
    }
  | {
      kind: "progress";
      jobId: string;
      batchId: string | null;
      tenantId: string | null;
      attempt: number;
      phase: JobPhase;
      progress: JobProgress;
    };

export type SignalTopic = keyof SignalTopics;

/** Redis pub/sub as a port. */
export interface Signals {
  /** Best effort, never throws: while Redis is unavailable, the signal is dropped and counted. */
  publish<Topic extends SignalTopic>(topic: Topic, message: SignalTopics[Topic]): void;
  /**
   * Resolves once the subscription is active. `onReconnect` is called after an interruption in which signals may have
   * been lost. The returned function ends the subscription.
   */
  subscribe<Topic extends SignalTopic>(
    topic: Topic,
    listener: (message: SignalTopics[Topic]) => void,
    onReconnect?: () => void,
  ): Promise<() => void>;
  close(): Promise<void>;
}
