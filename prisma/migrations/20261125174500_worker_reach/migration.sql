-- The servers that a worker's configuration names. Workers of different zones name different ones; of a worker of an
-- earlier version this is not known, and it counts as naming all.
ALTER TABLE "workers" ADD COLUMN "server_ids" UUID[] NOT NULL DEFAULT '{}';
