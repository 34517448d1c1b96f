import { type JobMark, type JobMarks } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { repeatConflicts } from "../../connection/repeat-conflicts.ts";
import { type PrismaClient } from "../../generated/client.ts";

/** Marks in the table `job_marks`. */
export class PrismaJobMarks implements JobMarks {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  async markJobs(
    tenantId: string,
    given: readonly string[],
    mark: JobMark | null,
    by: string,
  ): Promise<string[]> {
    const ids = [...new Set(given.filter((id) => isUuid(id)).map((id) => id.toLowerCase()))];
    const marked = await withMappedErrors(() =>
      repeatConflicts(() =>
        mark === null ? this.#unmark(tenantId, ids) : this.#mark(tenantId, ids, mark, by),
      ),
    );
    return marked.map(({ id }) => id);
  }

  /** A job that is being removed at this moment is not marked any more: the lock on its row waits for the removal. */
  #mark(tenantId: string, ids: string[], mark: JobMark, by: string): Promise<{ id: string }[]> {
    return this.#database.$queryRaw`
      WITH own AS MATERIALIZED (
        SELECT job.id FROM jobs job WHERE job.id = ANY(${ids}::uuid[]) AND job.tenant_id = ${tenantId}::uuid
        ORDER BY job.id FOR KEY SHARE
      )
      INSERT INTO job_marks (job_id, tenant_id, mark, marked_by)
      SELECT id, ${tenantId}::uuid, ${mark}, ${by} FROM own ORDER BY id
      ON CONFLICT (job_id) DO UPDATE SET mark = excluded.mark, marked_by = excluded.marked_by, marked_at = now()
      RETURNING job_id AS id`;
  }

  /** Locks in the same order as `#mark`, so that two requests for the same jobs do not wait for each other. */
  #unmark(tenantId: string, ids: string[]): Promise<{ id: string }[]> {
    return this.#database.$queryRaw`
      WITH own AS MATERIALIZED (
        SELECT job.id FROM jobs job WHERE job.id = ANY(${ids}::uuid[]) AND job.tenant_id = ${tenantId}::uuid
      ), old AS MATERIALIZED (
        SELECT job_id FROM job_marks WHERE job_id IN (SELECT id FROM own) ORDER BY job_id FOR UPDATE
      ), gone AS (
        DELETE FROM job_marks WHERE job_id IN (SELECT job_id FROM old)
      )
      SELECT id FROM own`;
  }
}
