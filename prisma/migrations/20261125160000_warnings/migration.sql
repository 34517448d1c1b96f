-- What somebody should know of a job although it completed: a server blocked a node, and its output is missing.
ALTER TABLE "jobs" ADD COLUMN "warnings" TEXT[] NOT NULL DEFAULT '{}';
