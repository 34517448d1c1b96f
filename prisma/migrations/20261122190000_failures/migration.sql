-- The states of a server's circuit beside online, unreachable and wedged.
ALTER TYPE "server_state" ADD VALUE 'failing';
ALTER TYPE "server_state" ADD VALUE 'probing';

-- A job that has not begun to execute by then times out.
ALTER TABLE "jobs" ADD COLUMN "expires_at" TIMESTAMPTZ(3);

CREATE INDEX "jobs_expiring" ON "jobs" ("expires_at") WHERE "status" = 'queued' AND "expires_at" IS NOT NULL;
