-- A job's rank counts how long its tenant's jobs run in the lane: docs/scheduling.md.

-- What sixteen ranks of the lane and the band stand for. NULL = no run of the lane was measured yet.
ALTER TABLE "lane_clocks" ADD COLUMN "unit_ms" REAL;

-- A job may take less than a rank. Earlier code keeps the fraction as it is.
ALTER TABLE "tenant_queues"
  ADD COLUMN "last_fraction" DOUBLE PRECISION NOT NULL DEFAULT 0,
  ALTER COLUMN "backlog_units" TYPE DOUBLE PRECISION;

CREATE TABLE "tenant_runs" (
    "lane" TEXT NOT NULL,
    "tenant_id" UUID NOT NULL,
    "run_ms" REAL NOT NULL,
    "runs" INTEGER NOT NULL,

    CONSTRAINT "tenant_runs_pkey" PRIMARY KEY ("lane", "tenant_id")
);

ALTER TABLE "tenant_runs" ADD CONSTRAINT "tenant_runs_lane_fkey" FOREIGN KEY ("lane") REFERENCES "lanes"("name") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "tenant_runs" ADD CONSTRAINT "tenant_runs_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "lane_clocks" ADD CONSTRAINT "lane_clocks_unit_check" CHECK ("unit_ms" > 0);
ALTER TABLE "tenant_runs" SET (fillfactor = 50);
