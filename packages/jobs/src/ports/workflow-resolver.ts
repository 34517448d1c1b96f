import { type JobType, type Json } from "../job/job.ts";
import { type UploadFinder } from "./upload-store.ts";

/** A submission turned into a graph that some known server can run. */
export interface ResolvedWorkflow {
  /** The graph as JSON text, its numbers as they were written. */
  workflow: string;
  /** As given, with defaults and the drawn seed filled in. Integers beyond 2^53−1 are text. */
  parameters: Json;
  /** The tenant's uploads that the graph names. */
  uploadIds: string[];
  /** What a server would convert silently, and other things worth knowing. */
  warnings: string[];
  /** What is to go to the server beside the graph and must be kept secret, as JSON text. */
  secretExtraData?: string | undefined;
  /** What else is to go there, as JSON text; absent where the parameters have it with the same numbers. */
  extraDataText?: string | undefined;
  /** What was left to the server, because its definitions say what we do not know. */
  notChecked: string[];
}

/** For whom a submission is judged. */
export interface Submitter {
  /** Whose uploads the parameters may name. */
  tenantId: string;
  /** The key that submits has the role `operate`: rules about node classes do not hold for it. */
  operates: boolean;
}

/** A node of a graph, by what it is. */
export interface NamedClass {
  nodeId: string;
  classType: string;
}

/** Parameters → graph. */
export interface WorkflowResolver {
  /**
   * @param parameters what a client sent, read from JSON
   * @param submitter absent: one without uploads, who does not operate
   * @param uploads what `lookUpUploads` answered for a batch that this is a part of; absent: they are looked up
   * @throws InvalidJobError naming each parameter or node that is wrong, what was given and what is accepted.
   */
  resolve(
    type: JobType,
    parameters: unknown,
    submitter?: Submitter,
    uploads?: UploadFinder,
  ): Promise<ResolvedWorkflow>;
  /**
   * Holds the nodes of graphs that were accepted earlier, perhaps from another key or under other rules, to the rules that
   * hold for this submitter now. @throws InvalidJobError naming each node whose class is denied
   */
  assertAllowedNodes(nodes: readonly NamedClass[], submitter: Submitter): Promise<void>;
  /** Looks up once what uploads all jobs of a batch name. */
  lookUpUploads(parameters: readonly unknown[], tenantId: string): Promise<UploadFinder>;
}
