import { type PreviewPicture } from "../drawing/drawing-job.ts";
import { type DrawingThread } from "../drawing/drawing-thread.ts";
import { type PythonJson } from "../python/python-json.ts";
import { type PythonDict, type PythonValue } from "../python/python-values.ts";
import { type Folders } from "../files/folders.ts";
import { type Timing } from "../options.ts";
import { type OutputFaults } from "../control/output-faults.ts";
import { type LoadedModel } from "./loaded-model.ts";
import { type NodeValue } from "./node-values.ts";

/** What a node may use while it runs. */
export interface NodeRun {
  readonly nodeId: string;
  readonly className: string;
  /** Resolved inputs: links followed, defaults not filled in. */
  readonly inputs: ReadonlyMap<string, NodeValue>;
  /** Members of dynamic groups, by their dotted names, in the order of the definition. */
  readonly members: ReadonlyMap<string, NodeValue>;
  /** Whether an input belongs to a dynamic group. */
  readonly isMember: (name: string) => boolean;
  /** The groups without any member. */
  readonly emptyGroups: ReadonlySet<string>;
  /** All inputs as sent, also those that the class does not declare. */
  readonly sent: PythonDict;
  readonly graph: PythonDict;
  readonly extraPngInfo: PythonValue;
  /** Whether the server is 0.28. */
  readonly isNewer: boolean;
  readonly folders: Folders;
  readonly drawing: DrawingThread;
  readonly timing: Timing;
  readonly loaded: LoadedModel;
  readonly faults: OutputFaults;
  /** Letters that stay with this node id as long as prompts contain it (names of temp files). */
  readonly letters: () => string;
  /** Raises when the prompt was interrupted. */
  readonly checkInterrupt: () => void;
  /** Reports one step, as a progress bar does. Raises, before anything is sent, when the prompt was interrupted. */
  readonly progress: (value: number, max: number, preview?: PreviewPicture) => Promise<void>;
  /** Sends text for this node (binary message 3). */
  readonly progressText: (text: string) => void;
  /** Waits, whatever else happens; only the end of the server cuts it short. */
  readonly wait: (ms: number) => Promise<void>;
  /** Ends the whole server, like a crash in native code. */
  readonly crash: () => never;
}

interface InnerLink {
  readonly inner: string;
  readonly slot: number;
}

/** Nodes that take the place of one that ran, by their ids inside, and what its outputs then are. */
export interface Expansion {
  readonly nodes: ReadonlyMap<
    string,
    { readonly className: string; readonly inputs: ReadonlyMap<string, NodeValue | InnerLink> }
  >;
  readonly outputs: readonly InnerLink[];
}

export interface NodeResult {
  readonly outputs: readonly NodeValue[];
  readonly expansion?: Expansion;
  /** Present when the node shows something; goes into `executed` and history. */
  readonly ui?: Readonly<Record<string, PythonJson>>;
}

export type NodeImplementation = (run: NodeRun) => NodeResult | Promise<NodeResult>;

/** Which of its lazy inputs a node needs, by the values that it has so far; what is not there yet is absent. */
export type NeededInputs = (inputs: ReadonlyMap<string, NodeValue>) => readonly string[];

/** An exception that a node raises, as the server reports it. */
export class NodeException extends Error {
  readonly type: string;
  /** Source positions below the server's own, e.g. `nodes.py", line 1590, in save_images`. */
  readonly frames: readonly string[];

  constructor(type: string, message: string, frames: readonly string[] = []) {
    super(message);
    this.name = "NodeException";
    this.type = type;
    this.frames = frames;
  }
}

/** The prompt was interrupted by request. */
export class InterruptedException extends Error {
  constructor() {
    super("interrupted");
    this.name = "InterruptedException";
  }
}

/** The server ended while the node ran: nothing is recorded, nothing is sent. */
export class AbandonedException extends Error {
  constructor() {
    super("abandoned");
    this.name = "AbandonedException";
  }
}
