import { type PreviewPicture } from "../drawing/drawing-job.ts";
import { type DrawingThread } from "../drawing/drawing-thread.ts";
import { type PythonJson } from "../python/python-json.ts";
import { type PythonDict, type PythonValue } from "../python/python-values.ts";
import { type Folders } from "../files/folders.ts";
import { type Timing } from "../options.ts";
import { type OutputFaults } from "../control/output-faults.ts";
import { type LoadedModel } from "./loaded-model.ts";
import { type NodeValue } from "./node-values.ts";

/** The inputs and functions that a running node may use. */
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
  /** Five letters for names of temp files; a node id keeps its letters as long as prompts contain it. */
  readonly letters: () => string;
  /** Raises when the prompt was interrupted. */
  readonly checkInterrupt: () => void;
  /** Reports one step, as a progress bar does. Raises, before anything is sent, when the prompt was interrupted. */
  readonly progress: (value: number, max: number, preview?: PreviewPicture) => Promise<void>;
  /** Sends text for this node (binary message 3). */
  readonly progressText: (text: string) => void;
  /** Waits; only the end of the server ends the wait early. */
  readonly wait: (ms: number) => Promise<void>;
  /** Ends the whole server, like a crash in native code. */
  readonly crash: () => never;
}

interface InnerLink {
  readonly inner: string;
  readonly slot: number;
}

/** The nodes that replace a node that ran, by their inner ids, and the resulting outputs. */
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
  /** The node's UI output, if it has one; it is sent in `executed` and kept in the history. */
  readonly ui?: Readonly<Record<string, PythonJson>>;
}

export type NodeImplementation = (run: NodeRun) => NodeResult | Promise<NodeResult>;

/**
 * Returns the lazy inputs that a node needs, by the values that it has so far; values that are not there yet are
 * absent.
 */
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
