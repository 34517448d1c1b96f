-- Files of removed jobs stay for the jobs that read them, and count as bytes of these.
ALTER TABLE "job_inputs" ADD COLUMN "is_source_removed" BOOLEAN NOT NULL DEFAULT false;

-- By hand from here on ------------------------------------------------------------------------------------------------

UPDATE "job_inputs" SET "is_source_removed" = true
WHERE "storage_key" IS NOT NULL AND NOT EXISTS (SELECT FROM "jobs" source WHERE source.id = "needs_id");

-- Retention adds up these files every few seconds.
CREATE INDEX "job_inputs_kept_idx" ON "job_inputs"("storage_key") WHERE "is_source_removed" AND "storage_key" IS NOT NULL;
