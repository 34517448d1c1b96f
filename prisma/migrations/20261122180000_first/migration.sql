-- The first tables. The part that Prisma cannot say (fillfactor, partial indexes, checks, first rows) follows below.

-- CreateEnum
CREATE TYPE "job_type" AS ENUM ('image', 'video', 'workflow');

-- CreateEnum
CREATE TYPE "job_status" AS ENUM ('queued', 'processing', 'completed', 'failed', 'timeout', 'cancelled');

-- CreateEnum
CREATE TYPE "job_phase" AS ENUM ('waiting', 'submitted', 'executing', 'saving');

-- CreateEnum
CREATE TYPE "job_priority" AS ENUM ('urgent', 'high', 'normal', 'low');

-- CreateEnum
CREATE TYPE "failure_class" AS ENUM ('invalid', 'execution', 'out_of_memory', 'server', 'deadline');

-- CreateEnum
CREATE TYPE "attempt_outcome" AS ENUM ('completed', 'failed', 'timeout', 'cancelled', 'requeued');

-- CreateEnum
CREATE TYPE "output_kind" AS ENUM ('file', 'text');

-- CreateEnum
CREATE TYPE "server_state" AS ENUM ('unknown', 'online', 'unreachable', 'wedged');

-- CreateTable
CREATE TABLE "tenants" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tenants_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "key_hash" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "batches" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT,
    "total" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "batches_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "jobs" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "batch_id" UUID,
    "batch_index" INTEGER,
    "type" "job_type" NOT NULL,
    "status" "job_status" NOT NULL DEFAULT 'queued',
    "phase" "job_phase" DEFAULT 'waiting',
    "priority" "job_priority" NOT NULL DEFAULT 'normal',
    "lane" TEXT NOT NULL DEFAULT 'default',
    "rank" INTEGER NOT NULL,
    "project" TEXT,
    "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "attempts_charged" INTEGER NOT NULL DEFAULT 0,
    "attempts_max" INTEGER NOT NULL DEFAULT 1,
    "out_of_memory_count" INTEGER NOT NULL DEFAULT 0,
    "crash_count" INTEGER NOT NULL DEFAULT 0,
    "lease_number" INTEGER NOT NULL DEFAULT 0,
    "lease_owner" TEXT,
    "lease_expires_at" TIMESTAMPTZ(3),
    "server_id" UUID,
    "avoid_server_id" UUID,
    "client_id" TEXT,
    "prompt_id" UUID,
    "percent" REAL NOT NULL DEFAULT 0,
    "node" TEXT,
    "node_title" TEXT,
    "step" INTEGER,
    "steps" INTEGER,
    "nodes_done" INTEGER,
    "nodes_total" INTEGER,
    "failure_class" "failure_class",
    "failure_code" TEXT,
    "failure_message" TEXT,
    "failure_node_id" TEXT,
    "failure_node_type" TEXT,
    "timeout_ms" INTEGER NOT NULL,
    "event_sequence" INTEGER NOT NULL DEFAULT 1,
    "cancel_requested_at" TIMESTAMPTZ(3),
    "cancel_too_late" BOOLEAN NOT NULL DEFAULT false,
    "run_at" TIMESTAMPTZ(3),
    "enqueued_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_parameters" (
    "job_id" UUID NOT NULL,
    "parameters" JSONB NOT NULL,
    "prompt_text" TEXT NOT NULL DEFAULT '',
    "workflow_hash" TEXT NOT NULL,

    CONSTRAINT "job_parameters_pkey" PRIMARY KEY ("job_id")
);

-- CreateTable
CREATE TABLE "workflows" (
    "hash" TEXT NOT NULL,
    "graph" JSONB NOT NULL,

    CONSTRAINT "workflows_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "job_events" (
    "job_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "data" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "job_events_pkey" PRIMARY KEY ("job_id","sequence")
);

-- CreateTable
CREATE TABLE "job_attempts" (
    "job_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "prompt_id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "server_id" UUID NOT NULL,
    "worker_id" TEXT NOT NULL,
    "claimed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "submitted_at" TIMESTAMPTZ(3),
    "execution_started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "outcome" "attempt_outcome",
    "lease_number" INTEGER,
    "failure" JSONB,

    CONSTRAINT "job_attempts_pkey" PRIMARY KEY ("job_id","number")
);

-- CreateTable
CREATE TABLE "outputs" (
    "id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "index" INTEGER NOT NULL,
    "node_id" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "kind" "output_kind" NOT NULL,
    "filename" TEXT,
    "media_type" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,
    "sha256" TEXT NOT NULL,
    "width" INTEGER,
    "height" INTEGER,
    "duration_ms" INTEGER,
    "storage_key" TEXT,
    "text" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "outputs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "removed_jobs" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "removed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "removed_jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "servers" (
    "id" UUID NOT NULL,
    "url" TEXT NOT NULL,
    "slots" INTEGER NOT NULL,
    "state" "server_state" NOT NULL DEFAULT 'unknown',
    "state_reason" TEXT,
    "state_since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "draining" BOOLEAN NOT NULL DEFAULT false,
    "lease_owner" TEXT,
    "lease_number" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "definitions_hash" TEXT,
    "version" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "servers_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "node_definitions" (
    "hash" TEXT NOT NULL,
    "object_info" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "node_definitions_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "workers" (
    "id" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "workers_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "named_leases" (
    "name" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "number" INTEGER NOT NULL DEFAULT 1,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "named_leases_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "tenant_ranks" (
    "tenant_id" UUID NOT NULL,
    "priority" "job_priority" NOT NULL,
    "last_rank" INTEGER NOT NULL,

    CONSTRAINT "tenant_ranks_pkey" PRIMARY KEY ("tenant_id","priority")
);

-- CreateTable
CREATE TABLE "band_clocks" (
    "priority" "job_priority" NOT NULL,
    "claimed_rank" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "band_clocks_pkey" PRIMARY KEY ("priority")
);

-- CreateIndex
CREATE UNIQUE INDEX "tenants_name_key" ON "tenants"("name");

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_key_hash_key" ON "api_keys"("key_hash");

-- CreateIndex
CREATE INDEX "batches_tenant_id_id_idx" ON "batches"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "jobs_tenant_id_id_idx" ON "jobs"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "jobs_batch_id_batch_index_key" ON "jobs"("batch_id", "batch_index");

-- CreateIndex
CREATE INDEX "job_parameters_workflow_hash_idx" ON "job_parameters"("workflow_hash");

-- CreateIndex
CREATE UNIQUE INDEX "job_attempts_prompt_id_key" ON "job_attempts"("prompt_id");

-- CreateIndex
CREATE INDEX "job_attempts_server_id_idx" ON "job_attempts"("server_id");

-- CreateIndex
CREATE UNIQUE INDEX "outputs_storage_key_key" ON "outputs"("storage_key");

-- CreateIndex
CREATE UNIQUE INDEX "outputs_job_id_index_key" ON "outputs"("job_id", "index");

-- CreateIndex
CREATE UNIQUE INDEX "servers_url_key" ON "servers"("url");

-- AddForeignKey
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "batches" ADD CONSTRAINT "batches_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_batch_id_fkey" FOREIGN KEY ("batch_id") REFERENCES "batches"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_server_id_fkey" FOREIGN KEY ("server_id") REFERENCES "servers"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_parameters" ADD CONSTRAINT "job_parameters_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_parameters" ADD CONSTRAINT "job_parameters_workflow_hash_fkey" FOREIGN KEY ("workflow_hash") REFERENCES "workflows"("hash") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_events" ADD CONSTRAINT "job_events_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_attempts" ADD CONSTRAINT "job_attempts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_attempts" ADD CONSTRAINT "job_attempts_server_id_fkey" FOREIGN KEY ("server_id") REFERENCES "servers"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "outputs" ADD CONSTRAINT "outputs_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "servers" ADD CONSTRAINT "servers_definitions_hash_fkey" FOREIGN KEY ("definitions_hash") REFERENCES "node_definitions"("hash") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant_ranks" ADD CONSTRAINT "tenant_ranks_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

-- Rows that are written often keep room on their page, so that progress and lease renewals touch no index (HOT).
ALTER TABLE "jobs" SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE "job_attempts" SET (fillfactor = 80);
ALTER TABLE "servers" SET (fillfactor = 50);
ALTER TABLE "workers" SET (fillfactor = 50);
ALTER TABLE "named_leases" SET (fillfactor = 50);
ALTER TABLE "tenant_ranks" SET (fillfactor = 50);
ALTER TABLE "band_clocks" SET (fillfactor = 50);

-- Queued rows that no ticket announces yet, in the order in which they will be announced.
CREATE INDEX "jobs_unannounced_idx" ON "jobs"("priority", "rank") WHERE "status" = 'queued' AND "enqueued_at" IS NULL;
-- The queue of a lane: who is before whom.
CREATE INDEX "jobs_queued_idx" ON "jobs"("lane", "priority", "rank") WHERE "status" = 'queued';
-- Queued rows by age (ids carry their time): the audit against Redis walks it, and the oldest is its first.
CREATE INDEX "jobs_queued_id_idx" ON "jobs"("id") WHERE "status" = 'queued';
-- What runs on a server.
CREATE INDEX "jobs_processing_idx" ON "jobs"("server_id") WHERE "status" = 'processing';
-- Ended jobs, written once each: counts by status, and lists of one status.
CREATE INDEX "jobs_ended_idx" ON "jobs"("tenant_id", "status", "id") WHERE "finished_at" IS NOT NULL;
CREATE INDEX "jobs_project_idx" ON "jobs"("tenant_id", "project", "id") WHERE "project" IS NOT NULL;
CREATE INDEX "jobs_tags_idx" ON "jobs" USING gin ("tags") WHERE "tags" <> '{}';

ALTER TABLE "tenants"
  ADD CONSTRAINT "tenants_name_check" CHECK ("name" ~ '^[a-z0-9][a-z0-9-]{0,62}$');

ALTER TABLE "batches"
  ADD CONSTRAINT "batches_total_check" CHECK ("total" >= 1);

ALTER TABLE "jobs"
  -- An ended job has an end and no phase, is under no lease; any other job has a phase and no end.
  ADD CONSTRAINT "jobs_ended_check" CHECK (
    CASE WHEN "status" IN ('queued', 'processing')
      THEN "finished_at" IS NULL AND "phase" IS NOT NULL
      ELSE "finished_at" IS NOT NULL AND "phase" IS NULL AND "lease_owner" IS NULL AND "lease_expires_at" IS NULL
    END),
  -- A queued job belongs to nobody, and nobody can still be asked to cancel it.
  ADD CONSTRAINT "jobs_queued_check" CHECK (
    "status" <> 'queued' OR (
      "phase" = 'waiting' AND "percent" = 0 AND "cancel_requested_at" IS NULL AND "lease_owner" IS NULL
      AND "lease_expires_at" IS NULL AND "server_id" IS NULL AND "client_id" IS NULL AND "prompt_id" IS NULL)),
  -- A processing job is an attempt under a lease (expired or not) on a server, with the prompt id that we chose.
  ADD CONSTRAINT "jobs_processing_check" CHECK (
    "status" <> 'processing' OR (
      "attempt" >= 1 AND "lease_number" >= 1 AND "lease_owner" IS NOT NULL AND "lease_expires_at" IS NOT NULL
      AND "server_id" IS NOT NULL AND "client_id" IS NOT NULL AND "prompt_id" IS NOT NULL)),
  ADD CONSTRAINT "jobs_completed_check" CHECK ("status" <> 'completed' OR ("percent" = 100 AND "attempt" >= 1)),
  -- A failure is whole or absent. An ended job has one exactly if it failed; a queued job may show why it is back.
  ADD CONSTRAINT "jobs_failure_check" CHECK (
    ("failure_class" IS NULL) = ("failure_code" IS NULL)
    AND ("failure_class" IS NULL) = ("failure_message" IS NULL)
    AND ("failure_class" IS NOT NULL OR ("failure_node_id" IS NULL AND "failure_node_type" IS NULL))
    AND CASE
      WHEN "status" IN ('failed', 'timeout') THEN "failure_class" IS NOT NULL
      WHEN "status" = 'queued' THEN true
      ELSE "failure_class" IS NULL
    END),
  ADD CONSTRAINT "jobs_cancel_check" CHECK (
    NOT "cancel_too_late" OR ("status" = 'completed' AND "cancel_requested_at" IS NOT NULL)),
  ADD CONSTRAINT "jobs_batch_check" CHECK (("batch_id" IS NULL) = ("batch_index" IS NULL) AND "batch_index" >= 0),
  ADD CONSTRAINT "jobs_lane_check" CHECK ("lane" ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
  ADD CONSTRAINT "jobs_tags_check" CHECK ("tags" IS NOT NULL AND array_position("tags", NULL) IS NULL),
  ADD CONSTRAINT "jobs_bounds_check" CHECK (
    "percent" BETWEEN 0 AND 100 AND "rank" >= 0 AND "timeout_ms" > 0 AND "event_sequence" >= 1 AND "lease_number" >= 0
    AND "attempt" >= 0 AND "attempts_max" >= 1 AND "attempts_charged" BETWEEN 0 AND "attempt"
    AND "out_of_memory_count" BETWEEN 0 AND "attempt" AND "crash_count" BETWEEN 0 AND "attempt");

ALTER TABLE "job_events"
  ADD CONSTRAINT "job_events_bounds_check" CHECK ("sequence" >= 1 AND "attempt" >= 0);

ALTER TABLE "job_attempts"
  ADD CONSTRAINT "job_attempts_ended_check" CHECK (
    "number" >= 1 AND ("outcome" IS NULL) = ("finished_at" IS NULL) AND ("outcome" IS NULL) = ("lease_number" IS NULL));

ALTER TABLE "outputs"
  ADD CONSTRAINT "outputs_kind_check" CHECK (
    CASE "kind"
      WHEN 'file' THEN "storage_key" IS NOT NULL AND "filename" IS NOT NULL AND "text" IS NULL AND "bytes" > 0
      WHEN 'text' THEN "storage_key" IS NULL AND "filename" IS NULL AND "text" IS NOT NULL AND "bytes" >= 0
    END),
  ADD CONSTRAINT "outputs_bounds_check" CHECK ("index" >= 0 AND "attempt" >= 1 AND "sha256" ~ '^[0-9a-f]{64}$');

ALTER TABLE "servers"
  ADD CONSTRAINT "servers_slots_check" CHECK ("slots" >= 1),
  ADD CONSTRAINT "servers_lease_check" CHECK (("lease_owner" IS NULL) = ("lease_expires_at" IS NULL));

ALTER TABLE "tenant_ranks" ADD CONSTRAINT "tenant_ranks_bounds_check" CHECK ("last_rank" >= 0);
ALTER TABLE "band_clocks" ADD CONSTRAINT "band_clocks_bounds_check" CHECK ("claimed_rank" >= 0);

-- Owns what comes without a key on loopback.
INSERT INTO "tenants" ("id", "name") VALUES ('00000000-0000-7000-8000-000000000000', 'default');
INSERT INTO "band_clocks" ("priority") VALUES ('urgent'), ('high'), ('normal'), ('low');
