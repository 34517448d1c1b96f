import { type DoorClients, untoldKeptMs, type UntoldEnd } from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { hasEnded, isActive } from "./prompt-conditions.ts";
import { type PrismaClient } from "../generated/client.ts";
import { untoldStatement } from "./untold-ends.ts";

/** Ends that are counted as prompts that still run. */
const untoldMax = 500;

/** What clients must be told, in the tables `jobs` and `door_ends`; a trigger of `jobs` notes the ends. */
export class PrismaDoorClients implements DoorClients {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /** Few jobs run at once, so all of them may be read. */
  findRunning(tenantId: string, clientId: string): Promise<{ jobId: string; node: string | null }[]> {
    return withMappedErrors(
      () => this.#database.$queryRaw<{ jobId: string; node: string | null }[]>`
        SELECT job.id AS "jobId", job.node FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
        WHERE job.status = 'processing' AND job.phase = 'executing' AND job.door AND job.tenant_id = ${tenantId}::uuid
          AND prompt.client_id = ${clientId}
        ORDER BY job.id`,
    );
  }

  listUntold(
    tenantId: string,
    { clientIds, heardJobIds = [] }: { clientIds: readonly string[]; heardJobIds?: readonly string[] },
    ofEachMax: number,
  ): Promise<UntoldEnd[]> {
    const statement = untoldStatement(tenantId, { clientIds, heardJobIds, ofEachMax });
    return withMappedErrors(() => this.#database.$queryRaw<UntoldEnd[]>(statement));
  }

  countOpen(
    tenantId: string,
    keyName: string,
    clientIds: readonly string[],
  ): Promise<{ active: number; untold: string[] }> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<[{ active: number; untold: string[] }]>`
        SELECT (
          SELECT count(*)::int FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
          WHERE job.tenant_id = ${tenantId}::uuid AND ${isActive} AND prompt.key_name = ${keyName}
        ) AS active, ARRAY(
          SELECT ended.job_id FROM door_ends ended JOIN door_prompts prompt ON prompt.job_id = ended.job_id
          JOIN jobs job ON job.id = ended.job_id
          WHERE ended.tenant_id = ${tenantId}::uuid AND ended.client_id = ANY(${[...clientIds]}::text[])
            AND ended.ended_at > now() - ${untoldKeptMs}::float8 * interval '1 millisecond'
            AND prompt.key_name = ${keyName} AND ${hasEnded}
          ORDER BY ended.ended_at, ended.job_id LIMIT ${untoldMax}
        ) AS untold`;
      return row;
    });
  }

  async forgetEnds(tenantId: string, jobIds: readonly string[]): Promise<void> {
    if (jobIds.length === 0) return;
    await withMappedErrors(
      () => this.#database.$executeRaw`
        DELETE FROM door_ends WHERE tenant_id = ${tenantId}::uuid AND job_id = ANY(${[...jobIds]}::uuid[])`,
    );
  }
}
