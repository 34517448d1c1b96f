import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { type Attempt, type JobWrite, type LaneChange, type RowState } from "../history/history.ts";

/**
 * Installs the suite's own observation of the database: triggers record every write to a job's row, the process that
 * wrote, and every pause of a lane. Each process sets its name as `chaos.process` on its connections. Genga does not know
 * about this.
 */
export async function installAudit(databaseUrl: string): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    await client.query(`
      CREATE TABLE IF NOT EXISTS chaos_writes (
        id bigserial PRIMARY KEY, job_id uuid NOT NULL, lane text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        process text, before jsonb, after jsonb NOT NULL, was_lease_expired boolean NOT NULL);
      CREATE OR REPLACE FUNCTION chaos_state(job jobs) RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_object('status', job.status, 'phase', job.phase, 'attempt', job.attempt,
          'leaseNumber', job.lease_number, 'leaseOwner', job.lease_owner, 'percent', job.percent,
          'sequence', job.event_sequence,
          'leaseExpiresAt', extract(epoch FROM job.lease_expires_at) * 1000,
          'cancelRequestedAt', extract(epoch FROM job.cancel_requested_at) * 1000)
      $$;
      CREATE OR REPLACE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          INSERT INTO chaos_writes (job_id, lane, process, before, after, was_lease_expired)
          VALUES (NEW.id, NEW.lane, nullif(current_setting('chaos.process', true), ''),
            CASE WHEN TG_OP = 'UPDATE' THEN chaos_state(OLD) END, chaos_state(NEW),
            CASE WHEN TG_OP = 'UPDATE' THEN coalesce(OLD.lease_expires_at <= now(), true) ELSE true END);
          RETURN NULL;
        END
      $$;
      CREATE OR REPLACE TRIGGER chaos_note AFTER INSERT OR UPDATE ON jobs
        FOR EACH ROW EXECUTE FUNCTION chaos_note();
      CREATE TABLE IF NOT EXISTS chaos_removed_attempts (LIKE job_attempts);
      CREATE OR REPLACE FUNCTION chaos_keep_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          INSERT INTO chaos_removed_attempts SELECT OLD.*;
          RETURN NULL;
        END
      $$;
      CREATE OR REPLACE TRIGGER chaos_keep_attempt AFTER DELETE ON job_attempts
        FOR EACH ROW EXECUTE FUNCTION chaos_keep_attempt();
      CREATE TABLE IF NOT EXISTS chaos_lane_changes (
        id bigserial PRIMARY KEY, lane text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        is_paused boolean NOT NULL);
      CREATE OR REPLACE FUNCTION chaos_note_lane() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          INSERT INTO chaos_lane_changes (lane, is_paused) VALUES (NEW.name, NEW.paused_at IS NOT NULL);
          RETURN NULL;
        END
      $$;
      CREATE OR REPLACE TRIGGER chaos_note_lane AFTER UPDATE OF paused_at ON lanes
        FOR EACH ROW EXECUTE FUNCTION chaos_note_lane();`);
  });
}

export async function readWrites(databaseUrl: string): Promise<JobWrite[]> {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{
      job_id: string;
      lane: string;
      at: Date;
      process: string | null;
      before: RowState | null;
      after: RowState;
      was_lease_expired: boolean;
    }>("SELECT job_id, lane, at, process, before, after, was_lease_expired FROM chaos_writes ORDER BY id");
    return rows.map((row) => ({
      jobId: row.job_id,
      lane: row.lane,
      at: row.at.getTime(),
      process: row.process,
      before: row.before,
      after: row.after,
      wasLeaseExpired: row.was_lease_expired,
    }));
  });
}

export async function readLaneChanges(databaseUrl: string): Promise<LaneChange[]> {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ lane: string; at: Date; is_paused: boolean }>(
      "SELECT lane, at, is_paused FROM chaos_lane_changes ORDER BY id",
    );
    return rows.map(({ lane, at, is_paused }) => ({ lane, at: at.getTime(), isPaused: is_paused }));
  });
}

/** The attempts of all jobs, removed ones included. */
export async function readAttempts(databaseUrl: string): Promise<Attempt[]> {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{
      [column: string]: string | number | Date | null;
      job_id: string;
      number: number;
      prompt_id: string;
      url: string;
      claimed_at: Date;
      submitted_at: Date | null;
      finished_at: Date | null;
      outcome: string | null;
      failure_class: string | null;
      failure_code: string | null;
    }>(`
      SELECT job_id, number, prompt_id, url, claimed_at, submitted_at, finished_at, outcome::text,
        failure ->> 'class' AS failure_class, failure ->> 'code' AS failure_code
      FROM (SELECT * FROM job_attempts UNION ALL SELECT * FROM chaos_removed_attempts) attempt
      JOIN servers ON servers.id = server_id ORDER BY job_id, number`);
    return rows.map((row) => ({
      jobId: row.job_id,
      number: row.number,
      promptId: row.prompt_id,
      serverUrl: row.url,
      claimedAt: row.claimed_at.getTime(),
      submittedAt: row.submitted_at?.getTime() ?? null,
      finishedAt: row.finished_at?.getTime() ?? null,
      outcome: row.outcome,
      failureClass: row.failure_class,
      failureCode: row.failure_code,
    }));
  });
}

/** The storage keys of all files that a job owns. */
export async function readStorageKeys(databaseUrl: string): Promise<Set<string>> {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ storage_key: string }>(
      `SELECT storage_key FROM outputs WHERE storage_key IS NOT NULL
       UNION SELECT storage_key FROM job_inputs WHERE storage_key IS NOT NULL`,
    );
    return new Set(rows.map((row) => row.storage_key));
  });
}

const removingMsMax = 60_000;

/**
 * Waits until the files of removed jobs are removed, which takes a few seconds after the removal. What is left after a minute is
 * found as files that belong to no job.
 */
export async function untilFilesRemoved(databaseUrl: string): Promise<void> {
  const deadline = performance.now() + removingMsMax;
  await withClient(databaseUrl, async (client) => {
    const left = "SELECT FROM pending_removals UNION ALL SELECT FROM files_to_remove LIMIT 1";
    while ((await client.query(left)).rowCount !== 0 && performance.now() < deadline) await sleep(250);
  });
}

/** Descriptions of where the counts of ended jobs differ from the rows. */
export async function readMiscounts(databaseUrl: string): Promise<string[]> {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ owner: string; status: string; jobs: string; bytes: string }>(`
      SELECT owner, status, sum(jobs) AS jobs, sum(bytes) AS bytes FROM (
        SELECT 'tenant ' || tenant_id AS owner, status, jobs, bytes FROM tenant_job_counts
        UNION ALL SELECT 'tenant ' || tenant_id, status, jobs, bytes FROM ended_job_changes
        UNION ALL SELECT 'batch ' || batch_id, status, jobs, 0 FROM batch_job_counts
        UNION ALL SELECT 'batch ' || batch_id, status, jobs, 0 FROM ended_job_changes
          WHERE batch_id IN (SELECT id FROM batches)
        UNION ALL SELECT 'tenant ' || tenant_id, status, -1, -output_bytes FROM jobs WHERE finished_at IS NOT NULL
        UNION ALL SELECT 'batch ' || batch_id, status, -1, 0 FROM jobs
          WHERE finished_at IS NOT NULL AND batch_id IS NOT NULL
      ) AS counted GROUP BY owner, status HAVING sum(jobs) <> 0 OR sum(bytes) <> 0`);
    return rows.map(
      ({ owner, status, jobs, bytes }) =>
        `${owner} counts ${jobs} ${status} jobs and ${bytes} bytes of their outputs more than there are`,
    );
  });
}

/** Connects directly, not through the networks that the suite disturbs; tries again while Postgres recovers. */
async function withClient<Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
