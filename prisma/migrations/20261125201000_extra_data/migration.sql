-- What a job's graph needs beside itself and nobody may see: keys for partner nodes. Encrypted, and only kept while the job
-- has not ended. The column says that it was submitted with such data, so that a retry after its end asks for it again.
ALTER TABLE "jobs" ADD COLUMN "has_extra_data" BOOLEAN NOT NULL DEFAULT false;

CREATE TABLE "job_secrets" (
  "job_id" UUID NOT NULL,
  "sealed" BYTEA NOT NULL,
  CONSTRAINT "job_secrets_pkey" PRIMARY KEY ("job_id"),
  CONSTRAINT "job_secrets_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- Erased in the transaction that ends the job, however it ends. A trigger, so that no statement can forget it, nor a process
-- of an earlier version; jobs without such data cost no more than the look at the column.
CREATE FUNCTION "erase_job_secrets"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM "job_secrets" WHERE "job_id" = NEW."id";
  RETURN NULL;
END
$$;

CREATE TRIGGER "erase_job_secrets" AFTER UPDATE OF "status" ON "jobs" FOR EACH ROW
  WHEN (NEW."has_extra_data" AND NEW."status" NOT IN ('queued', 'processing'))
  EXECUTE FUNCTION "erase_job_secrets"();
