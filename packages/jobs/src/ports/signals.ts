import { type JobPhase, type JobEvent, type JobProgress, type JobStatus } from "../job/job.ts";

/** What watchers are told live, beside the truth in PostgreSQL. Losing one is harmless: readers look again. */
export interface SignalTopics {
  /** A job's event, or its progress between events. */
  job: JobSignal;
  /** Workers running these jobs should end them. */
  cancel: { jobIds: string[] };
  /** Somebody is about to refuse a job for a missing node or model: read the node definitions again. */
  "definitions-wanted": { requestedBy: string };
  /** A server's definitions were stored. */
  "definitions-read": { serverId: string };
  /** An operator paused or resumed the farm, drained a server or let it work again: read what is asked of you. */
  "operator-request": { requestedBy: string };
}

export type JobSignal =
  | {
      kind: "event";
      jobId: string;
      batchId: string | null;
      status: JobStatus;
      event: Omit<JobEvent, "createdAt"> & { createdAt: string };
    }
  | {
      kind: "progress";
      jobId: string;
      batchId: string | null;
      attempt: number;
      phase: JobPhase;
      progress: JobProgress;
    };

export type SignalTopic = keyof SignalTopics;

/** Redis pub/sub behind a port. */
export interface Signals {
  /** Best effort, never throws: while Redis is away the signal is dropped and counted. */
  publish<Topic extends SignalTopic>(topic: Topic, message: SignalTopics[Topic]): void;
  /**
   * Resolves once the subscription is live. `onReconnect` is called when signals may have been missed in between.
   * The returned function ends it.
   */
  subscribe<Topic extends SignalTopic>(
    topic: Topic,
    listener: (message: SignalTopics[Topic]) => void,
    onReconnect?: () => void,
  ): Promise<() => void>;
  close(): Promise<void>;
}
