import {
  type Claim,
  type JobLease,
  type LeasedJob,
  type PromptGraph,
  type TakeBacks,
  type WaitingPrompt,
} from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { type PlainStatements } from "../../connection/plain-statements.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { graphText } from "../job-rows.ts";
import { type RunningLimit } from "../running/running-limit.ts";
import { askTakeBack, beginGivingBack, beginTakeBack } from "./ask-take-back.ts";
import { claimTakenBack } from "./claim-taken-back.ts";
import { listWaiting } from "./list-waiting.ts";

/** Take-backs in the rows of the jobs. */
export class PrismaTakeBacks implements TakeBacks {
  readonly #database: PrismaClient;
  readonly #prepared: PlainStatements;
  readonly #limits: RunningLimit;

  constructor(options: { database: PrismaClient; prepared: PlainStatements; limits: RunningLimit }) {
    this.#database = options.database;
    this.#prepared = options.prepared;
    this.#limits = options.limits;
  }

  listWaiting(limit: number): Promise<WaitingPrompt[]> {
    return withMappedErrors(() => listWaiting(this.#database, limit, this.#limits));
  }

  readGraph(jobId: string): Promise<PromptGraph | null> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<PromptGraph[]>`
        SELECT ${graphText} AS workflow, workflows.hash AS "workflowHash"
        FROM job_parameters asked JOIN workflows ON workflows.hash = asked.workflow_hash
        WHERE asked.job_id = ${jobId}::uuid`;
      return row ?? null;
    });
  }

  ask(lease: JobLease, serverId: string): Promise<boolean> {
    return withMappedErrors(() => askTakeBack(this.#database, lease, serverId));
  }

  begin(lease: JobLease): Promise<string | null> {
    return withMappedErrors(() => beginTakeBack(this.#database, lease));
  }

  beginGivingBack(lease: JobLease): Promise<boolean> {
    return withMappedErrors(() => beginGivingBack(this.#database, lease));
  }

  claim(claims: Claim[], leaseMs: number): Promise<LeasedJob[]> {
    return withMappedErrors(() => claimTakenBack(this.#prepared, claims, leaseMs, this.#limits));
  }
}
