import { type JobType, type Json, type NewJobInput } from "../job/job.ts";
import { type ServerNeeds } from "../job/lane.ts";
import { type UploadFinder } from "./upload-store.ts";

/** Remarks in the answer to an accepted submission. */
export interface Remarks {
  /** Things that a server would convert silently, and other remarks for the client. */
  warnings: string[];
  /** What only the server can check, because its definitions contain something that Genga does not know. */
  notChecked: string[];
}

/** A submission that was turned into a graph which some known server can run. */
export interface ResolvedWorkflow extends Remarks {
  /** The graph as JSON text, with its numbers as they were written. */
  workflow: string;
  /** The parameters as given, with defaults and the chosen seed filled in. Integers beyond 2^53−1 are text. */
  parameters: Json;
  /** The tenant's uploads that the graph names. */
  uploadIds: string[];
  /** Outputs of other jobs that the graph reads; `from` is as the parameters have it. */
  inputs: NewJobInput[];
  /** What a server must have to run the graph. */
  needs: ServerNeeds;
  /** No server was known, so the needs follow from the names in the graph, and may be wrong. */
  areNeedsGuessed?: boolean;
  /** No known server can run the graph to the end; asked for with `asServer`. */
  mustFail?: boolean;
  /** The secret part of extraData, as JSON text. */
  secretExtraData?: string | undefined;
  /** The open part of extraData, as JSON text; absent where the parameters contain the same numbers. */
  extraDataText?: string | undefined;
}

/** The client whose submission is judged. */
export interface Submitter {
  /** The tenant whose uploads the parameters may name. */
  tenantId: string;
  /** The key has the role `operate`, for which the rules about node classes do not hold. */
  operates: boolean;
  /** The place of the submission in a distributed trace. Absent = it is in none. */
  traceparent?: string | undefined;
}

/** The client whose graph is judged, and how. */
export interface JudgedSubmitter extends Submitter {
  /** A graph that a server takes is accepted, although no known server can run it to the end. */
  asServer?: boolean;
}

/** The class of a node, and the node's place in its graph. */
export interface NamedClass {
  nodeId: string;
  classType: string;
}

/** Turns parameters into a graph. */
export interface WorkflowResolver {
  /**
   * @param parameters what the client sent, parsed from JSON
   * @param submitter absent = a submitter who has no uploads and is no operator
   * @param uploads the result of `lookUpUploads` for the batch that this job belongs to; absent = they are looked up
   * here
   * @param requires labels that the job's server must have
   * @throws InvalidJobError with each parameter or node that is wrong, what was given and what is accepted.
   */
  resolve(
    type: JobType,
    parameters: unknown,
    submitter?: JudgedSubmitter,
    uploads?: UploadFinder,
    requires?: readonly string[],
  ): Promise<ResolvedWorkflow>;
  /**
   * Checks nodes of graphs that were accepted earlier, perhaps from another key or under other rules, against the rules
   * that hold for this submitter now.
   * @throws InvalidJobError with each node whose class is denied
   */
  assertAllowedNodes(nodes: readonly NamedClass[], submitter: Submitter): Promise<void>;
  /** Finds, with one query, the uploads that all jobs of a batch name. */
  lookUpUploads(parameters: readonly unknown[], tenantId: string): Promise<UploadFinder>;
}
