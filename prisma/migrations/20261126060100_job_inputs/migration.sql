-- Outputs of other jobs that a job's graph reads. The graph has a stand-in's name in place of the file. When the needed job
-- completes, the file is recorded here, and belongs to this job, too.
CREATE TABLE "job_inputs" (
    "job_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "needs_id" UUID NOT NULL,
    "output_index" INTEGER NOT NULL,
    "kind" TEXT,
    "storage_key" TEXT,
    "sha256" TEXT,
    "media_type" TEXT,
    "filename" TEXT,
    "bytes" BIGINT,

    CONSTRAINT "job_inputs_pkey" PRIMARY KEY ("job_id","name")
);

ALTER TABLE "job_inputs" ADD CONSTRAINT "job_inputs_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

-- Whose file a storage key is, and which files of a job others still need.
CREATE INDEX "job_inputs_storage_key_idx" ON "job_inputs"("storage_key") WHERE "storage_key" IS NOT NULL;
CREATE INDEX "job_inputs_needs_idx" ON "job_inputs"("needs_id");
