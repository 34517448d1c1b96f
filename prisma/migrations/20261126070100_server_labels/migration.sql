-- What jobs may require of their server besides nodes and models; it comes from the configuration of the workers.
ALTER TABLE "servers" ADD COLUMN "labels" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[];

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "servers" ADD CONSTRAINT "servers_labels_check" CHECK (array_position("labels", NULL) IS NULL);
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_requires_check" CHECK (array_position("requires", NULL) IS NULL);
