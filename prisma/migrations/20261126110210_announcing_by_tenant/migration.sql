-- What is removed comes first: it locks all of the table at once. After the creation of an index it would wait for statements
-- that wait for this transaction.
DROP INDEX "jobs_ready_idx";
DROP INDEX "jobs_due_idx";
DROP INDEX "jobs_queued_id_idx";

-- Ready jobs without a ticket, by tenant and lane: jobs that wait for others of their limited tenant are not read each second.
CREATE INDEX "jobs_unannounced_idx" ON "jobs"("tenant_id", "lane", "priority", "rank")
  WHERE "status" = 'queued' AND "enqueued_at" IS NULL AND "paused_at" IS NULL AND "open_dependencies" = 0 AND "run_at" IS NULL;
CREATE INDEX "jobs_due_idx" ON "jobs"("tenant_id", "run_at")
  WHERE "status" = 'queued' AND "enqueued_at" IS NULL AND "paused_at" IS NULL AND "open_dependencies" = 0 AND "run_at" IS NOT NULL;

-- Jobs with tickets in the order of their ids: the audit against Redis walks it. It takes the place of an index of all
-- queued jobs, which PostgreSQL left for one that it had to sort.
CREATE INDEX "jobs_announced_idx" ON "jobs"("id") WHERE "status" = 'queued' AND "enqueued_at" IS NOT NULL;
