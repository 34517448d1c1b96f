-- The tickets of one attempt, told apart: a job that loses its ticket (because it is paused, say) and gets one again later
-- has another number then. So a ticket that a worker holds meanwhile is known to be stale, and the new one does not count
-- as a duplicate of it.
ALTER TABLE "jobs" ADD COLUMN "ticket_number" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "pending_removals" ADD COLUMN "ticket_number" INTEGER NOT NULL DEFAULT 0;
