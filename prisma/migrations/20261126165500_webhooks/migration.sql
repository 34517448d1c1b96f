-- Where events are sent, and what is sent there.
CREATE TYPE "webhook_scope" AS ENUM ('tenant', 'batch', 'job');
CREATE TYPE "webhook_delivery_status" AS ENUM ('pending', 'delivered', 'failed');

CREATE TABLE "webhooks" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "scope" "webhook_scope" NOT NULL,
    "url" TEXT NOT NULL,
    "events" TEXT[] NOT NULL,
    "sealed_secret" BYTEA NOT NULL,
    "sealed_previous" BYTEA,
    "previous_valid_until" TIMESTAMPTZ(3),
    "failing_since" TIMESTAMPTZ(3),
    "disabled_at" TIMESTAMPTZ(3),
    "disabled_reason" TEXT,
    "removed_at" TIMESTAMPTZ(3),
    "orphaned_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhooks_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "webhook_deliveries" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "number" BIGSERIAL NOT NULL,
    "webhook_id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "message_id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "facts" JSONB NOT NULL,
    "occurred_at" TIMESTAMPTZ(3) NOT NULL,
    "status" "webhook_delivery_status" NOT NULL DEFAULT 'pending',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "begun_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "taken_until" TIMESTAMPTZ(3),
    "attempted_at" TIMESTAMPTZ(3),
    "last_status" INTEGER,
    "last_error" TEXT,
    "ended_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "webhook_deliveries_webhook_id_message_id_key" ON "webhook_deliveries"("webhook_id", "message_id");
CREATE INDEX "webhook_deliveries_webhook_id_number_idx" ON "webhook_deliveries"("webhook_id", "number");

ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "webhooks"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand from here on ------------------------------------------------------------------------------------------------

CREATE INDEX "webhooks_of_tenants_idx" ON "webhooks"("tenant_id", "id") WHERE "scope" = 'tenant' AND "removed_at" IS NULL;
-- What is due, for each tenant; the processes go from tenant to tenant, so that none waits behind another one's backlog.
CREATE INDEX "webhook_deliveries_pending_idx" ON "webhook_deliveries"("tenant_id", "due_at", "webhook_id") WHERE "status" = 'pending';
CREATE INDEX "webhook_deliveries_ended_idx" ON "webhook_deliveries"("ended_at") WHERE "status" <> 'pending';

CREATE INDEX "webhooks_unneeded_idx" ON "webhooks"("id") WHERE "removed_at" IS NOT NULL OR "orphaned_at" IS NOT NULL;

ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_previous_check" CHECK (("sealed_previous" IS NULL) = ("previous_valid_until" IS NULL));
ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_disabled_check" CHECK (("disabled_at" IS NULL) = ("disabled_reason" IS NULL));
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_ended_check" CHECK (("status" = 'pending') = ("ended_at" IS NULL));
ALTER TABLE "webhook_deliveries" SET (fillfactor = 70);

-- The webhook of a job or a batch has its id. It stays until what waits to be sent was sent, and then the keeper removes it.
CREATE FUNCTION "note_orphaned_webhooks"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhooks SET orphaned_at = now() WHERE id IN (SELECT id FROM removed);
  RETURN NULL;
END
$$;

CREATE TRIGGER "jobs_note_orphaned_webhooks" AFTER DELETE ON "jobs"
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "note_orphaned_webhooks"();
CREATE TRIGGER "batches_note_orphaned_webhooks" AFTER DELETE ON "batches"
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "note_orphaned_webhooks"();

-- An older process that gives events their positions makes no deliveries of them, and one that removes jobs does not know who
-- shares their files: docs/operations.md, "Deploying a new version".
UPDATE "schema_support" SET "lowest_code_version" = 3;
