-- What a job may wait for besides a server: a person (paused), other jobs (dependencies), and servers with certain labels.
-- Processes of earlier versions would give such jobs tickets and run them, so they may not use this database any more.
ALTER TABLE "jobs"
  ADD COLUMN "scene" TEXT,
  ADD COLUMN "shot" TEXT,
  ADD COLUMN "requires" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
  ADD COLUMN "paused_at" TIMESTAMPTZ(3),
  ADD COLUMN "open_dependencies" INTEGER NOT NULL DEFAULT 0;

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "jobs" ADD CONSTRAINT "jobs_open_dependencies_check" CHECK ("open_dependencies" >= 0);
UPDATE "schema_support" SET "lowest_code_version" = 2;

-- Ready jobs without a ticket: those that may run at any time, and those that wait for their time. Paused and dependent
-- jobs are in neither, so that thousands of them cost nothing.
CREATE INDEX "jobs_ready_idx" ON "jobs"("priority", "rank")
  WHERE "status" = 'queued' AND "enqueued_at" IS NULL AND "paused_at" IS NULL AND "open_dependencies" = 0 AND "run_at" IS NULL;
CREATE INDEX "jobs_due_idx" ON "jobs"("run_at")
  WHERE "status" = 'queued' AND "enqueued_at" IS NULL AND "paused_at" IS NULL AND "open_dependencies" = 0 AND "run_at" IS NOT NULL;
DROP INDEX "jobs_unannounced_idx";
CREATE INDEX "jobs_scene_idx" ON "jobs"("tenant_id", "scene", "id") WHERE "scene" IS NOT NULL;
CREATE INDEX "jobs_shot_idx" ON "jobs"("tenant_id", "shot", "id") WHERE "shot" IS NOT NULL;
