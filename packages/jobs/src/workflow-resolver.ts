import { type JobType, type Json, type Workflow } from "./job.ts";

/** A submission turned into a graph that some known server can run. */
export interface ResolvedWorkflow {
  workflow: Workflow;
  /** As given, with defaults and the drawn seed filled in. */
  parameters: Json;
  /** What a server would convert silently, and other things worth knowing. */
  warnings: string[];
  /** What was left to the server, because its definitions say what we do not know. */
  notChecked: string[];
}

/** Parameters → graph. */
export interface WorkflowResolver {
  /**
   * @param tenantId whose uploads the parameters may name; absent: none
   * @throws InvalidJobError naming each parameter or node that is wrong, what was given and what is accepted.
   */
  resolve(type: JobType, parameters: Json, tenantId?: string): Promise<ResolvedWorkflow>;
}
