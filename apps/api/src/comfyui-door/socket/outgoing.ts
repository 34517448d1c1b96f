/** Something to send to the client of a prompt. */
export type Outgoing =
  | { kind: "text"; type: string; node?: string | null; json: string }
  /** A binary message as the server sent it, with the server's id of the prompt, and the node that ran. */
  | { kind: "frame"; frame: Uint8Array; serverPromptId: string; node: string | null }
  /** The pictures that a node of the job stored, which the client wants as binary messages. */
  | { kind: "pictures"; node: string; displayNode: string };
