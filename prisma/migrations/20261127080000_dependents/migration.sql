-- All jobs that need a job, also after it has completed: for the chain that is shown with a job or a batch. A table of a
-- million rows takes some seconds.
CREATE INDEX "job_dependencies_needs_id_idx" ON "job_dependencies"("needs_id");
