/** Something that a server said about a prompt of the door, while it ran. */
export type DoorMessage = { jobId: string; attempt: number; serverPromptId: string } & (
  | {
      kind: "text";
      /** The type of the message: `progress`, `executing`, … */
      type: string;
      /** The node that the message names; `null` = it says that none runs any more; absent = it names none. */
      node?: string | null;
      /** The message as JSON text, with the server's own id of the prompt. */
      json: string;
    }
  /** The node's `executed`. Its output names files, which have their names only when they are stored. */
  | { kind: "made-files"; node: string; displayNode: string | null }
  /** A binary message as the server sent it. */
  | { kind: "frame"; frame: Uint8Array }
  /** The server has said everything about the prompt. How it ended is told when it is recorded. */
  | { kind: "ended" }
);

/** What processes of the API tell each other of the sockets and the queue of a tenant. */
export type DoorNote =
  /** A client has opened a socket; those with the same client id that were opened earlier (ms since 1970) get nothing from now on. */
  | { kind: "opened"; clientId: string; socketId: string; openedAt: number }
  /** Prompts were removed, or one came with the key `addedBy`. */
  | { kind: "queue"; addedBy?: string | undefined }
  /** A client was shown the end of a prompt in the history, so that it waits for no message about it. */
  | { kind: "read"; clientId: string; jobId: string };

/**
 * The worker's side. Best effort: while Redis is away or slow, messages are dropped, and no run waits for them. How a prompt ended
 * is never told in this way, but read from PostgreSQL.
 */
export interface DoorMessageGiver {
  /** Of one job in this order. */
  publish(tenantId: string, message: DoorMessage): void;
  /** Whether any process heard the last message of the tenant, or may have, since it is not known yet; at the start of a prompt it is not. */
  isHeard(tenantId: string): boolean;
  close(): Promise<void>;
}

export interface DoorMessageListener {
  onMessage(message: DoorMessage): void;
  onNote(note: DoorNote): void;
  /** Messages may have been missed. */
  onMissed(): void;
}

/** The API's side. */
export interface DoorMessageTaker {
  /**
   * Hears of one tenant until `end` is called. `live` resolves once messages can no longer be missed; while Redis is away it stays
   * pending.
   */
  listen(tenantId: string, listener: DoorMessageListener): { live: Promise<void>; end: () => void };
  /** Tells all processes, this one too. Best effort. */
  note(tenantId: string, note: DoorNote): void;
  close(): Promise<void>;
}
