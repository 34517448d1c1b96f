-- Queued jobs are counted as they come and go, so that nobody has to count a hundred thousand rows: a base for each tenant
-- and lane, plus what changed since. Triggers append the changes (a row of counts that all of them update would make
-- submissions and claims wait for each other); the keeper adds them to the base. Processes of an earlier version count as
-- well during a deploy.

CREATE TABLE "queued_job_changes" (
    "id" BIGSERIAL NOT NULL,
    "tenant_id" UUID NOT NULL,
    "lane" TEXT NOT NULL,
    "jobs" INTEGER NOT NULL,

    CONSTRAINT "queued_job_changes_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "queued_job_counts" (
    "tenant_id" UUID NOT NULL,
    "lane" TEXT NOT NULL,
    "jobs" INTEGER NOT NULL,

    CONSTRAINT "queued_job_counts_pkey" PRIMARY KEY ("tenant_id","lane")
);

ALTER TABLE "queued_job_counts" ADD CONSTRAINT "queued_job_counts_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "queued_job_counts" SET (fillfactor = 50);
-- Written and deleted all the time, and small: it must not grow between two vacuums.
ALTER TABLE "queued_job_changes" SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Nobody writes to jobs from here to the end of this transaction, so that no job is counted twice, or not at all. Nobody
-- reads them, either: the change of an index below needs that, and would wait for statements that wait for this one.
LOCK TABLE "jobs" IN ACCESS EXCLUSIVE MODE;

-- One row for all jobs of a statement in a lane: submissions insert hundreds of jobs at once.
CREATE FUNCTION "note_accepted_jobs"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO queued_job_changes (tenant_id, lane, jobs)
  SELECT tenant_id, lane, count(*) FROM accepted WHERE status = 'queued' GROUP BY tenant_id, lane;
  RETURN NULL;
END
$$;

-- Row by row: most updates change no count, and for these the condition of a trigger costs less than copies of the rows.
CREATE FUNCTION "note_queued_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status = 'queued' THEN
    INSERT INTO queued_job_changes (tenant_id, lane, jobs) VALUES (OLD.tenant_id, OLD.lane, -1);
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.status = 'queued' THEN
    INSERT INTO queued_job_changes (tenant_id, lane, jobs) VALUES (NEW.tenant_id, NEW.lane, 1);
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER "jobs_note_accepted" AFTER INSERT ON "jobs" REFERENCING NEW TABLE AS accepted
  FOR EACH STATEMENT EXECUTE FUNCTION "note_accepted_jobs"();
CREATE TRIGGER "jobs_note_queued_update" AFTER UPDATE ON "jobs"
  FOR EACH ROW WHEN (
    (OLD.status = 'queued') <> (NEW.status = 'queued') OR
    (NEW.status = 'queued' AND (OLD.lane <> NEW.lane OR OLD.tenant_id <> NEW.tenant_id)))
  EXECUTE FUNCTION "note_queued_job"();
CREATE TRIGGER "jobs_note_queued_delete" AFTER DELETE ON "jobs"
  FOR EACH ROW WHEN (OLD.status = 'queued') EXECUTE FUNCTION "note_queued_job"();

INSERT INTO "queued_job_counts" ("tenant_id", "lane", "jobs")
SELECT tenant_id, lane, count(*) FROM "jobs" WHERE status = 'queued' GROUP BY tenant_id, lane;

-- A tenant's job that has waited longest is the first of its rows here. Its announced jobs are in jobs_ageing_idx.
DROP INDEX "jobs_tenant_queued_idx";
CREATE INDEX "jobs_tenant_queued_idx" ON "jobs"("tenant_id", "created_at") WHERE "status" = 'queued';
