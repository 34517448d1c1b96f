-- What a client's Idempotency-Key stands for. A request first claims its key; the transaction that accepts its jobs says what
-- they are.
CREATE TABLE "idempotency_keys" (
    "tenant_id" UUID NOT NULL,
    "door" TEXT NOT NULL,
    "key_hash" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "body_hash" TEXT NOT NULL,
    "claim_id" UUID NOT NULL,
    "claimed_until" TIMESTAMPTZ(3),
    "resource_id" UUID,
    "remarks" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "removed_at" TIMESTAMPTZ(3),

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("tenant_id","door","key_hash")
);
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

CREATE INDEX "idempotency_keys_resource_id_idx" ON "idempotency_keys"("resource_id") WHERE "resource_id" IS NOT NULL;
CREATE INDEX "idempotency_keys_removed_at_idx" ON "idempotency_keys"("removed_at") WHERE "removed_at" IS NOT NULL;
CREATE INDEX "idempotency_keys_claimed_until_idx" ON "idempotency_keys"("claimed_until") WHERE "claimed_until" IS NOT NULL;
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_state_check"
  CHECK (("resource_id" IS NULL) = ("claimed_until" IS NOT NULL));

-- A key outlives its job or batch for a day; what was remarked on the request goes with the job.
CREATE FUNCTION "outlive_removed"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE idempotency_keys SET removed_at = now(), remarks = '{}'
  WHERE resource_id IN (SELECT id FROM removed);
  RETURN NULL;
END
$$;
CREATE TRIGGER "jobs_outlived_by_keys" AFTER DELETE ON "jobs"
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "outlive_removed"();
CREATE TRIGGER "batches_outlived_by_keys" AFTER DELETE ON "batches"
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "outlive_removed"();
