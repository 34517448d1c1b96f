-- The version of ComfyUI that an attempt ran on, as it was known at the claim: servers are updated, and whoever makes a job
-- again wants the version of that time. NULL for attempts before this migration.
ALTER TABLE "job_attempts" ADD COLUMN "server_version" TEXT;
