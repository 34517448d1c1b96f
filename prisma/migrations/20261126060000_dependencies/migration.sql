-- Jobs that begin where others end. docs/decisions/0015-dependencies.md says which statement locks what, and why no end is lost.
ALTER TYPE "failure_class" ADD VALUE 'dependency';

ALTER TABLE "jobs"
  ADD COLUMN "key" TEXT,
  ADD COLUMN "has_dependents" BOOLEAN NOT NULL DEFAULT false;

-- Which jobs must complete before a job may run. "needs_id" has no foreign key: the row outlives the removal of the needed
-- job, and then says why its dependent can never run.
CREATE TABLE "job_dependencies" (
    "job_id" UUID NOT NULL,
    "needs_id" UUID NOT NULL,
    "met_at" TIMESTAMPTZ(3),

    CONSTRAINT "job_dependencies_pkey" PRIMARY KEY ("job_id","needs_id")
);

-- Ended jobs of which not all dependents were told yet.
CREATE TABLE "ends_to_pass_on" (
    "job_id" UUID NOT NULL,
    "ended_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "ends_to_pass_on_pkey" PRIMARY KEY ("job_id")
);

ALTER TABLE "job_dependencies" ADD CONSTRAINT "job_dependencies_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "ends_to_pass_on" ADD CONSTRAINT "ends_to_pass_on_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

-- A statement that locks a row and then updates it first checks the row as it was when the statement began. A count that
-- another transaction has lowered or raised meanwhile would be refused falsely.
ALTER TABLE "jobs" DROP CONSTRAINT "jobs_open_dependencies_check";

-- A met dependency never becomes open again, and is looked for by its dependent only.
CREATE INDEX "job_dependencies_open_idx" ON "job_dependencies"("needs_id") WHERE "met_at" IS NULL;
CREATE INDEX "ends_to_pass_on_ended_idx" ON "ends_to_pass_on"("ended_at");
-- Written and deleted all the time, and small: it must not grow between two vacuums.
ALTER TABLE "ends_to_pass_on" SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Whatever statement ends a needed job leaves a note, so that none can forget the dependents. The same transaction, or the
-- sweeper, passes the end on and deletes the note.
CREATE FUNCTION "note_end_to_pass_on"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ends_to_pass_on (job_id) VALUES (NEW.id) ON CONFLICT (job_id) DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER "jobs_note_end_to_pass_on" AFTER UPDATE ON "jobs"
  FOR EACH ROW WHEN (NEW.has_dependents AND NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL)
  EXECUTE FUNCTION "note_end_to_pass_on"();
