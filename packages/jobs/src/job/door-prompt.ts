/** A value of a client's graph in whose place the job's graph has another one. */
export interface DoorRewrite {
  nodeId: string;
  /** The input; absent = the class of the node. */
  input?: string;
  /** What the client sent. */
  said: unknown;
}

/** What a client of ComfyUI's protocol said of a prompt besides its graph. Stored with the job, in one transaction. */
export interface NewDoorPrompt {
  /** The name of the key that it came with. */
  keyName: string;
  /** The client's name for it; within the tenant it means the newest job that has it. */
  promptId: string;
  /** The client's name for itself; `null` = it gave none. */
  clientId: string | null;
  /** Orders what the queue of the key shows. */
  number: number;
  /**
   * Of several prompts of a tenant with one place only one is accepted, and the others are refused with `PromptTakenError`. Absent = no
   * other prompt can be the same one.
   */
  place?: string;
  /** The client chose the number, or the front: it runs before waiting prompts of the same key that have larger numbers. */
  goesBefore?: boolean;
  /** SHA-256 of the graph and the targets as the client sent them, hexadecimal. */
  saidHash: string;
  /** partial_execution_targets; `null` = none were sent. */
  targets: string[] | null;
  /** The output nodes of the graph that run. */
  outputNodes: string[];
  /** Nodes whose pictures are sent to the client as frames: those of `SaveImageWebsocket`, and of classes like it. */
  socketNodes: string[];
  rewrites: DoorRewrite[];
  /** No known server can run its graph to the end, and some take it: then it fails as on a server. */
  mustFail?: boolean;
}
