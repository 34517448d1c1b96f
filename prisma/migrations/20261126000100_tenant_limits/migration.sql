-- What an operator set for one tenant in place of the configured defaults; NULL = the default holds.
CREATE TABLE "tenant_limits" (
    "tenant_id" UUID NOT NULL,
    "jobs_queued_max" INTEGER,
    "jobs_running_max" INTEGER,
    "requests_per_minute" INTEGER,
    "requests_at_once" INTEGER,
    "streams_max" INTEGER,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tenant_limits_pkey" PRIMARY KEY ("tenant_id")
);

-- At least as many as the tenant has queued: raised by each acceptance in its own transaction, and set to the true number
-- when the limit is met. So nobody else who ends or claims a job has to write here.
CREATE TABLE "tenant_usage" (
    "tenant_id" UUID NOT NULL,
    "queued_bound" INTEGER NOT NULL DEFAULT 0,
    "counted_at" TIMESTAMPTZ(3),

    CONSTRAINT "tenant_usage_pkey" PRIMARY KEY ("tenant_id")
);

ALTER TABLE "tenant_limits" ADD CONSTRAINT "tenant_limits_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "tenant_usage" ADD CONSTRAINT "tenant_usage_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "tenant_usage" SET (fillfactor = 50);
ALTER TABLE "tenant_usage" ADD CONSTRAINT "tenant_usage_bounds_check" CHECK ("queued_bound" >= 0);
ALTER TABLE "tenant_limits" ADD CONSTRAINT "tenant_limits_bounds_check" CHECK (
    "jobs_queued_max" BETWEEN 0 AND 10000000 AND "jobs_running_max" BETWEEN 0 AND 100000
    AND "requests_per_minute" BETWEEN 1 AND 10000000 AND "requests_at_once" BETWEEN 1 AND 100000
    AND "streams_max" BETWEEN 0 AND 100000);

-- A tenant's queued rows: how many there are, and which of them were announced of late.
CREATE INDEX "jobs_tenant_queued_idx" ON "jobs"("tenant_id", "enqueued_at") WHERE "status" = 'queued';
