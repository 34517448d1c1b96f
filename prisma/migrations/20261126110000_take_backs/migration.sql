-- Take-backs: a prompt that waits in the queue of a busy server is taken from there, so that its job begins on a server
-- that stands empty. NULL and false for jobs of which nobody asked that.
ALTER TABLE "jobs" ADD COLUMN "take_back_for" UUID,
ADD COLUMN "take_back_asked_at" TIMESTAMPTZ(3),
ADD COLUMN "take_back_begun" BOOLEAN NOT NULL DEFAULT false;
