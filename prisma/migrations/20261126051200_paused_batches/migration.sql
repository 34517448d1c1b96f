-- A paused batch: its jobs that are queued again wait as well.
ALTER TABLE "batches" ADD COLUMN "paused_at" TIMESTAMPTZ(3);
