-- A tenant's jobs that have not ended, in the order of lists: a page of them is read without the jobs that have ended.
CREATE INDEX "jobs_open_idx" ON "jobs"("tenant_id", "id") WHERE "finished_at" IS NULL;
