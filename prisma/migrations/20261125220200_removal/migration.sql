-- Removed jobs whose tickets and files may still be there: a crash after the removal's commit leaves none of them for ever.
CREATE TABLE "pending_removals" (
    "job_id" UUID NOT NULL,
    "lane" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "pending_removals_pkey" PRIMARY KEY ("job_id")
);

CREATE INDEX "pending_removals_due_at_idx" ON "pending_removals"("due_at");

-- Files of uploads whose rows were removed; several tenants' rows may name one file.
CREATE TABLE "files_to_remove" (
    "storage_key" TEXT NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "files_to_remove_pkey" PRIMARY KEY ("storage_key")
);

CREATE INDEX "files_to_remove_due_at_idx" ON "files_to_remove"("due_at");

-- Which uploads a job's graph names: those of a job that is kept are kept.
CREATE TABLE "job_uploads" (
    "job_id" UUID NOT NULL,
    "upload_id" UUID NOT NULL,

    CONSTRAINT "job_uploads_pkey" PRIMARY KEY ("job_id","upload_id")
);

CREATE INDEX "job_uploads_upload_id_idx" ON "job_uploads"("upload_id");

ALTER TABLE "job_uploads" ADD CONSTRAINT "job_uploads_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "job_uploads" ADD CONSTRAINT "job_uploads_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "uploads"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Sent, or named by a submission.
ALTER TABLE "uploads" ADD COLUMN "last_used_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- FALSE of jobs that were accepted before job_uploads was there, or by a process of an earlier version: the sweeper reads
-- their graphs. While there is one, no upload counts as unused.
ALTER TABLE "job_parameters" ADD COLUMN "uploads_noted" BOOLEAN NOT NULL DEFAULT false;

-- A large submission stores its graphs ahead of its jobs: a graph without a job is left over only some time later.
ALTER TABLE "workflows" ADD COLUMN "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- CreateIndex
CREATE INDEX "removed_jobs_removed_at_idx" ON "removed_jobs"("removed_at");

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "pending_removals" SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX "job_parameters_unnoted_idx" ON "job_parameters"("job_id") WHERE NOT "uploads_noted";
-- A tenant's ended jobs, the oldest first: retention removes from this end.
CREATE INDEX "jobs_oldest_ended_idx" ON "jobs"("tenant_id", "finished_at", "id") WHERE "finished_at" IS NOT NULL;
