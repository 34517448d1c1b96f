-- How many jobs ended in each minute, for charts. The keeper adds them up with the counts of ended jobs, so that nobody has to
-- read the jobs themselves, and jobs that were removed since are counted, too.
ALTER TABLE "ended_job_changes" ADD COLUMN "ended_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now();

-- The nil UUID stands for all tenants together.
CREATE TABLE "ended_job_minutes" (
    "tenant_id" UUID NOT NULL,
    "minute" TIMESTAMPTZ(3) NOT NULL,
    "status" "job_status" NOT NULL,
    "jobs" INTEGER NOT NULL,

    CONSTRAINT "ended_job_minutes_pkey" PRIMARY KEY ("tenant_id","minute","status")
);
CREATE INDEX "ended_job_minutes_minute_idx" ON "ended_job_minutes"("minute");

-- By hand from here on ------------------------------------------------------------------------------------------------

-- The rows of the present minute are updated every second.
ALTER TABLE "ended_job_minutes" SET (fillfactor = 70);
