-- Ended jobs are counted as they end, so that nobody has to count a million rows: a base for each tenant and batch, plus
-- what changed since. Each end, restart and removal appends a change of its own (a row of counts that all of them update
-- would make them wait for each other); the sweeper adds the changes to the base. A trigger appends, so that processes of
-- an earlier version count as well during a deploy.

-- What the outputs of an ended job take, for the counts of bytes.
ALTER TABLE "jobs" ADD COLUMN "output_bytes" BIGINT NOT NULL DEFAULT 0;

CREATE TABLE "ended_job_changes" (
    "id" BIGSERIAL NOT NULL,
    "tenant_id" UUID NOT NULL,
    "batch_id" UUID,
    "status" "job_status" NOT NULL,
    "jobs" INTEGER NOT NULL,
    "bytes" BIGINT NOT NULL,

    CONSTRAINT "ended_job_changes_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "tenant_job_counts" (
    "tenant_id" UUID NOT NULL,
    "status" "job_status" NOT NULL,
    "jobs" INTEGER NOT NULL,
    "bytes" BIGINT NOT NULL,

    CONSTRAINT "tenant_job_counts_pkey" PRIMARY KEY ("tenant_id","status")
);

CREATE TABLE "batch_job_counts" (
    "batch_id" UUID NOT NULL,
    "status" "job_status" NOT NULL,
    "jobs" INTEGER NOT NULL,

    CONSTRAINT "batch_job_counts_pkey" PRIMARY KEY ("batch_id","status")
);

ALTER TABLE "tenant_job_counts" ADD CONSTRAINT "tenant_job_counts_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "batch_job_counts" ADD CONSTRAINT "batch_job_counts_batch_id_fkey" FOREIGN KEY ("batch_id") REFERENCES "batches"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "tenant_job_counts" SET (fillfactor = 50);
ALTER TABLE "batch_job_counts" SET (fillfactor = 70);
-- Written and deleted all the time, and small: it must not grow between two vacuums.
ALTER TABLE "ended_job_changes" SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX "ended_job_changes_batch_idx" ON "ended_job_changes"("batch_id") WHERE "batch_id" IS NOT NULL;

-- What of a batch has not ended is counted by itself.
CREATE INDEX "jobs_batch_open_idx" ON "jobs"("batch_id", "status") WHERE "finished_at" IS NULL AND "batch_id" IS NOT NULL;

CREATE FUNCTION "note_ended_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' AND OLD.finished_at IS NOT NULL THEN
    INSERT INTO ended_job_changes (tenant_id, batch_id, status, jobs, bytes)
    VALUES (OLD.tenant_id, OLD.batch_id, OLD.status, -1, -OLD.output_bytes);
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.finished_at IS NOT NULL THEN
    INSERT INTO ended_job_changes (tenant_id, batch_id, status, jobs, bytes)
    VALUES (NEW.tenant_id, NEW.batch_id, NEW.status, 1, NEW.output_bytes);
  END IF;
  RETURN NULL;
END
$$;

-- Nobody writes to jobs from here to the end of this transaction, so that no end is counted twice, or not at all.
CREATE TRIGGER "jobs_note_ended_insert" AFTER INSERT ON "jobs"
  FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION "note_ended_job"();
CREATE TRIGGER "jobs_note_ended_delete" AFTER DELETE ON "jobs"
  FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION "note_ended_job"();

UPDATE "jobs" SET "output_bytes" = stored.bytes
FROM (SELECT job_id, sum(bytes) AS bytes FROM "outputs" GROUP BY job_id) AS stored
WHERE "jobs".id = stored.job_id AND "jobs".finished_at IS NOT NULL;

CREATE TRIGGER "jobs_note_ended_update" AFTER UPDATE ON "jobs"
  FOR EACH ROW WHEN (
    OLD.finished_at IS DISTINCT FROM NEW.finished_at OR
    (NEW.finished_at IS NOT NULL AND (OLD.status <> NEW.status OR OLD.output_bytes <> NEW.output_bytes)))
  EXECUTE FUNCTION "note_ended_job"();

INSERT INTO "tenant_job_counts" ("tenant_id", "status", "jobs", "bytes")
SELECT tenant_id, status, count(*), sum(output_bytes) FROM "jobs" WHERE finished_at IS NOT NULL GROUP BY tenant_id, status;

INSERT INTO "batch_job_counts" ("batch_id", "status", "jobs")
SELECT batch_id, status, count(*) FROM "jobs" WHERE finished_at IS NOT NULL AND batch_id IS NOT NULL GROUP BY batch_id, status;
