-- Rows of servers that are gone are removed once no attempt names them. Each server of a job is that of an attempt, whose constraint
-- keeps the row; another one of the jobs would search all jobs for each row that is removed.
ALTER TABLE "jobs" DROP CONSTRAINT "jobs_server_id_fkey";

-- The servers that are listed, however many are gone.
CREATE INDEX "servers_listed_idx" ON "servers"("id") WHERE "removed_at" IS NULL OR "lease_expires_at" IS NOT NULL;
CREATE INDEX "servers_removed_at_idx" ON "servers"("removed_at") WHERE "removed_at" IS NOT NULL;
