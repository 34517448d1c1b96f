-- The job that this one makes again; it may have been removed since.
ALTER TABLE "jobs" ADD COLUMN "rerun_of" UUID;
