-- Jobs that are answered from a completed job with the same graph: docs/decisions/0017-reuse.md. What reads whole tables is in the
-- migrations after this one, each alone, so that no lock that others wait for is held meanwhile.

-- What decides a job's outputs, as a hash; NULL of jobs that no other job is answered from, such as those of earlier versions.
ALTER TABLE jobs ADD COLUMN reuse_hash BYTEA, ADD COLUMN reused_from UUID;

-- A job that was answered from another one has completed without an attempt, and names that job's files.
ALTER TABLE jobs DROP CONSTRAINT jobs_completed_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_completed_check CHECK (
  status <> 'completed' OR (percent = 100 AND (attempt >= 1 OR reused_from IS NOT NULL))) NOT VALID;

ALTER TABLE outputs DROP CONSTRAINT outputs_bounds_check;
ALTER TABLE outputs ADD CONSTRAINT outputs_bounds_check
  CHECK (index >= 0 AND attempt >= 0 AND sha256 ~ '^[0-9a-f]{64}$') NOT VALID;

-- Files of a job that was answered from another one count as that one's bytes.
CREATE OR REPLACE FUNCTION count_output_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE jobs SET output_bytes = ended.bytes
  FROM (SELECT job_id, sum(bytes) AS bytes FROM stored GROUP BY job_id) ended
  WHERE jobs.id = ended.job_id AND jobs.output_bytes = 0 AND jobs.reused_from IS NULL AND ended.bytes > 0;
  RETURN NULL;
END
$$;
