-- How many jobs of a batch were removed, so that those which wait need not be counted one by one: they are its total without
-- those that run, have ended or were removed.
ALTER TABLE "ended_job_changes" ADD COLUMN "removed" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "batch_job_counts" ADD COLUMN "removed" INTEGER NOT NULL DEFAULT 0;

-- By hand from here on ------------------------------------------------------------------------------------------------

-- Nobody writes to jobs from here to the end of this transaction, so that no removal is counted twice, or not at all.
LOCK TABLE "jobs" IN SHARE ROW EXCLUSIVE MODE;

CREATE OR REPLACE FUNCTION "note_ended_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' AND OLD.finished_at IS NOT NULL THEN
    INSERT INTO ended_job_changes (tenant_id, batch_id, status, jobs, bytes, removed)
    VALUES (OLD.tenant_id, OLD.batch_id, OLD.status, -1, -OLD.output_bytes, (TG_OP = 'DELETE')::int);
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.finished_at IS NOT NULL THEN
    INSERT INTO ended_job_changes (tenant_id, batch_id, status, jobs, bytes)
    VALUES (NEW.tenant_id, NEW.batch_id, NEW.status, 1, NEW.output_bytes);
  END IF;
  RETURN NULL;
END
$$;

INSERT INTO "batch_job_counts" AS base ("batch_id", "status", "jobs", "removed")
SELECT batch.id, 'completed', 0, batch.total - count(job.id)
FROM "batches" batch LEFT JOIN "jobs" job ON job.batch_id = batch.id
GROUP BY batch.id HAVING batch.total > count(job.id)
ON CONFLICT ("batch_id", "status") DO UPDATE SET "removed" = excluded.removed;

-- The first errors of a batch.
CREATE INDEX "jobs_batch_failed_idx" ON "jobs"("batch_id", "batch_index") WHERE "status" IN ('failed', 'timeout') AND "batch_id" IS NOT NULL;
