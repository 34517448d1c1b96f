import { expect } from "@jest/globals";
import { type EventSequencer, type JobLease } from "@genga/jobs";
import type pg from "pg";

// What must be true of the rows of all jobs at any moment of a history, for `job-history.test.ts`.

/** A job's row in PostgreSQL, by the names of its columns. */
export interface Row {
  id: string;
  status: string;
  attempt: number;
  lease_number: number;
  ticket_number: number;
  event_sequence: number;
  percent: number;
  enqueued_at: string | null;
  paused_at: string | null;
  needs_others: boolean;
}

export async function rowsOf(observer: pg.Client, batchId: string): Promise<Map<string, Row>> {
  const { rows } = await observer.query<{ row: Row }>(
    `SELECT to_jsonb(jobs) || jsonb_build_object('needs_others',
       EXISTS (SELECT FROM job_dependencies WHERE job_id = jobs.id)) AS row
     FROM jobs WHERE batch_id = $1`,
    [batchId],
  );
  return new Map(rows.map(({ row }) => [row.id, row]));
}

/**
 * The counts that were added up as jobs came, were claimed, ended, restarted and were removed equal the real counts,
 * whatever the order.
 */
export async function assertCounted(observer: pg.Client): Promise<void> {
  const { rows } = await observer.query(`
    WITH counted AS (
      SELECT tenant_id AS owner, status, jobs, bytes FROM tenant_job_counts
      UNION ALL SELECT tenant_id, status, jobs, bytes FROM ended_job_changes
      UNION ALL SELECT batch_id, status, jobs, 0 FROM batch_job_counts
      UNION ALL SELECT batch_id, status, jobs, 0 FROM ended_job_changes WHERE batch_id IN (SELECT id FROM batches)
    ), true_count AS (
      SELECT tenant_id AS owner, status, -count(*) AS jobs, -sum(output_bytes) AS bytes FROM jobs
      WHERE finished_at IS NOT NULL GROUP BY tenant_id, status
      UNION ALL SELECT batch_id, status, -count(*), 0 FROM jobs
      WHERE finished_at IS NOT NULL AND batch_id IS NOT NULL GROUP BY batch_id, status
    )
    SELECT owner, status, sum(jobs) AS jobs, sum(bytes) AS bytes
    FROM (SELECT * FROM counted UNION ALL SELECT * FROM true_count) AS compared
    GROUP BY owner, status HAVING sum(jobs) <> 0 OR sum(bytes) <> 0`);
  expect(rows).toEqual([]);
  const { rows: queued } = await observer.query(`
    SELECT tenant_id, lane, sum(jobs) AS jobs FROM (
      SELECT tenant_id, lane, jobs FROM queued_job_counts
      UNION ALL SELECT tenant_id, lane, jobs FROM queued_job_changes
      UNION ALL SELECT tenant_id, lane, -1 FROM jobs WHERE status = 'queued'
    ) AS compared GROUP BY tenant_id, lane HAVING sum(jobs) <> 0`);
  expect(queued).toEqual([]);
}

/** Each event has one position, in the order of its job, and removed jobs have none. */
export async function assertPlaced(sequencer: EventSequencer, observer: pg.Client): Promise<void> {
  while ((await sequencer.assignPositions(7)).events > 0);
  const { rows } = await observer.query(`
    SELECT event.job_id, event.sequence, place.job_id AS placed FROM job_events event
    FULL JOIN event_positions place USING (job_id, sequence) WHERE event.job_id IS NULL OR place.job_id IS NULL
    UNION ALL
    SELECT job_id, sequence, job_id FROM (
      SELECT job_id, sequence, row_number() OVER (PARTITION BY job_id ORDER BY position) AS place FROM event_positions
    ) AS ranked WHERE sequence <> place`);
  expect(rows).toEqual([]);
}

/**
 * No number of a row falls. A paused job is queued, and has no ticket. A single write under a lease that the row no longer
 * has leaves the row unchanged.
 */
export function assertOnward(
  before: Map<string, Row>,
  after: Map<string, Row>,
  alone: JobLease | null,
): void {
  for (const [id, row] of after) {
    const was = before.get(id);
    if (was === undefined) throw new Error(`Job ${id} came back.`);
    for (const column of ["attempt", "lease_number", "event_sequence", "ticket_number"] as const)
      expect({ column, value: row[column] >= was[column] }).toEqual({ column, value: true });
    if (row.paused_at !== null) expect([row.status, row.enqueued_at]).toEqual(["queued", null]);
    const isSameRun =
      was.status === "processing" && row.status === "processing" && was.attempt === row.attempt;
    if (isSameRun) expect(row.percent).toBeGreaterThanOrEqual(was.percent);
    const isStale =
      alone?.jobId !== id ||
      was.status !== "processing" ||
      alone.attempt !== was.attempt ||
      alone.leaseNumber !== was.lease_number;
    // The end of a job also changes those that depend on it.
    if (alone !== null && isStale && !row.needs_others) expect(row).toEqual(was);
  }
}
