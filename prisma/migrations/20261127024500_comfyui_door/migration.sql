-- ComfyUI's own protocol in front of the farm: what clients called their prompts, what a server's history would say of
-- them, and the names of files as one server would give them.

-- The job was submitted in ComfyUI's protocol; the claim returns it, so that its worker publishes messages and keeps an entry.
ALTER TABLE "jobs" ADD COLUMN "door" BOOLEAN NOT NULL DEFAULT false;

-- The waiting and running prompts of a tenant; no other job is in it.
CREATE INDEX "jobs_active_door_idx" ON "jobs" ("tenant_id", "id") WHERE "door" AND "status" IN ('queued', 'processing');

CREATE TABLE "door_prompts" (
  "job_id" UUID NOT NULL,
  "tenant_id" UUID NOT NULL,
  "key_name" TEXT NOT NULL,
  "prompt_id" TEXT NOT NULL,
  "client_id" TEXT,
  "number" DOUBLE PRECISION NOT NULL,
  "said_hash" TEXT NOT NULL,
  "targets" TEXT[],
  "output_nodes" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
  "socket_nodes" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
  "rewrites" JSONB NOT NULL DEFAULT '[]',
  "hidden" BOOLEAN NOT NULL DEFAULT false,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "door_prompts_pkey" PRIMARY KEY ("job_id"),
  CONSTRAINT "door_prompts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE,
  CONSTRAINT "door_prompts_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants" ("id")
);
CREATE INDEX "door_prompts_prompt_id_idx" ON "door_prompts" ("tenant_id", "prompt_id", "job_id" DESC);
CREATE INDEX "door_prompts_client_id_idx" ON "door_prompts" ("tenant_id", "client_id", "job_id" DESC) WHERE "client_id" IS NOT NULL;
CREATE INDEX "door_prompts_shown_idx" ON "door_prompts" ("tenant_id", "job_id" DESC) WHERE NOT "hidden";

-- A server's history entry without its graph, of the attempt that ended the job: {outputs, status, meta} as JSON text.
CREATE TABLE "door_entries" (
  "job_id" UUID NOT NULL,
  "attempt" INTEGER NOT NULL,
  "entry" TEXT NOT NULL,
  CONSTRAINT "door_entries_pkey" PRIMARY KEY ("job_id"),
  CONSTRAINT "door_entries_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "door_prompts" ("job_id") ON DELETE CASCADE,
  CONSTRAINT "door_entries_size_check" CHECK (octet_length("entry") <= 1048576)
);

-- Files under the names that one server would have for them: an output of a job, or an upload.
CREATE TABLE "door_files" (
  "tenant_id" UUID NOT NULL,
  "type" TEXT NOT NULL,
  "subfolder" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "stem" TEXT,
  "counter" INTEGER,
  "job_id" UUID,
  "source" TEXT,
  "upload_id" UUID,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "door_files_pkey" PRIMARY KEY ("tenant_id", "type", "subfolder", "name"),
  CONSTRAINT "door_files_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants" ("id"),
  CONSTRAINT "door_files_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "door_prompts" ("job_id") ON DELETE CASCADE,
  CONSTRAINT "door_files_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "uploads" ("id") ON DELETE CASCADE,
  CONSTRAINT "door_files_one_source_check" CHECK (("job_id" IS NULL) = ("source" IS NULL) AND ("job_id" IS NULL) <> ("upload_id" IS NULL))
);
CREATE UNIQUE INDEX "door_files_source_idx" ON "door_files" ("job_id", "source");
CREATE INDEX "door_files_counter_idx" ON "door_files" ("tenant_id", "type", "subfolder", "stem", "counter");
CREATE INDEX "door_files_upload_id_idx" ON "door_files" ("upload_id");
