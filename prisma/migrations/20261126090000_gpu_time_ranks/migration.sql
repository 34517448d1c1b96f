-- Ranks are counted in GPU time, in the units of each lane: docs/scheduling.md.
ALTER TABLE "tenant_limits" ADD COLUMN "weight" REAL;

-- Bands that a waiting job has moved up because it has waited long.
ALTER TABLE "jobs"
  ADD COLUMN "aged" SMALLINT NOT NULL DEFAULT 0,
  ADD COLUMN "aged_at" TIMESTAMPTZ(3);

CREATE TABLE "lane_clocks" (
    "lane" TEXT NOT NULL,
    "priority" "job_priority" NOT NULL,
    "claimed_rank" INTEGER NOT NULL DEFAULT 0,
    "base" INTEGER NOT NULL DEFAULT 0,
    "repricing_after" INTEGER,
    "repricing_at" TIMESTAMPTZ(3),
    "repricing_passes" SMALLINT NOT NULL DEFAULT 0,

    CONSTRAINT "lane_clocks_pkey" PRIMARY KEY ("lane", "priority")
);

CREATE TABLE "tenant_queues" (
    "tenant_id" UUID NOT NULL,
    "priority" "job_priority" NOT NULL,
    "lane" TEXT NOT NULL,
    "last_rank" INTEGER NOT NULL,
    "begun_rank" INTEGER NOT NULL,
    "backlog_units" INTEGER NOT NULL,
    "aged_at" TIMESTAMPTZ(3),

    CONSTRAINT "tenant_queues_pkey" PRIMARY KEY ("tenant_id", "priority", "lane")
);

ALTER TABLE "tenant_queues" ADD CONSTRAINT "tenant_queues_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

DROP TABLE "tenant_ranks";
DROP TABLE "band_clocks";

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "tenant_limits" ADD CONSTRAINT "tenant_limits_weight_check" CHECK ("weight" BETWEEN 0.1 AND 16);
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_aged_check" CHECK ("aged" BETWEEN 0 AND 2);
ALTER TABLE "lane_clocks"
  SET (fillfactor = 50),
  ADD CONSTRAINT "lane_clocks_bounds_check" CHECK ("claimed_rank" >= 0 AND "base" BETWEEN 0 AND "claimed_rank");
ALTER TABLE "tenant_queues" SET (fillfactor = 50);

-- The first of a tenant's announced jobs in each lane and band: which of them ages.
CREATE INDEX "jobs_ageing_idx" ON "jobs"("tenant_id", "lane", "priority", "aged", "rank")
  WHERE "status" = 'queued' AND "enqueued_at" IS NOT NULL;
-- Waiting jobs that have aged: they stand in a band that is not the one of their priority.
CREATE INDEX "jobs_aged_idx" ON "jobs"("lane", "rank") WHERE "status" = 'queued' AND "aged" > 0;
