-- A tenant's own jobs in one lane, in the order in which they are served: what of it comes before a job is counted
-- without reading the jobs of others.
CREATE INDEX "jobs_own_queue_idx" ON "jobs"("tenant_id", "lane", "priority", "rank") WHERE "status" = 'queued';
