-- What the request of a batch says for all of its jobs; a job's own labels are in its row.
ALTER TABLE "batches"
  ADD COLUMN "project" TEXT,
  ADD COLUMN "scene" TEXT,
  ADD COLUMN "shot" TEXT,
  ADD COLUMN "tags" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[];
