-- Ended prompts whose clients still have to be told of the end: whoever ended the job, and whoever was away at that moment.
CREATE TABLE "door_ends" (
  "job_id" UUID NOT NULL,
  "tenant_id" UUID NOT NULL,
  "client_id" TEXT NOT NULL,
  "ended_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "door_ends_pkey" PRIMARY KEY ("job_id"),
  CONSTRAINT "door_ends_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "door_prompts" ("job_id") ON DELETE CASCADE
);
CREATE INDEX "door_ends_client_id_idx" ON "door_ends" ("tenant_id", "client_id", "ended_at");
CREATE INDEX "door_ends_ended_at_idx" ON "door_ends" ("ended_at");

CREATE FUNCTION "note_door_end"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO door_ends (job_id, tenant_id, client_id)
  SELECT job_id, tenant_id, client_id FROM door_prompts WHERE job_id = NEW.id AND client_id IS NOT NULL
  ON CONFLICT (job_id) DO UPDATE SET ended_at = excluded.ended_at;
  RETURN NULL;
END
$$;

CREATE TRIGGER "jobs_note_door_end" AFTER UPDATE OF "status" ON "jobs" FOR EACH ROW
  WHEN (NEW.door AND OLD.status IN ('queued', 'processing') AND NEW.status NOT IN ('queued', 'processing'))
  EXECUTE FUNCTION "note_door_end"();
