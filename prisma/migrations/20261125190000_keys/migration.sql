-- Keys that operators make. A key has a name, a tenant and a role; its secrets (one, and others for a while after it was
-- rotated) are kept as SHA-256.
CREATE TYPE "key_role" AS ENUM ('read', 'submit', 'operate');

CREATE TABLE "access_keys" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "role" "key_role" NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),
    CONSTRAINT "access_keys_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "access_keys_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE
);
-- The name of a key that works says which key it is; that of a revoked one may be used again.
CREATE UNIQUE INDEX "access_keys_name_key" ON "access_keys" ("name") WHERE "revoked_at" IS NULL;

CREATE TABLE "access_key_secrets" (
    "hash" BYTEA NOT NULL,
    "key_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "valid_until" TIMESTAMPTZ(3),
    CONSTRAINT "access_key_secrets_pkey" PRIMARY KEY ("hash"),
    CONSTRAINT "access_key_secrets_key_id_fkey" FOREIGN KEY ("key_id") REFERENCES "access_keys"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "access_key_secrets_key_id_idx" ON "access_key_secrets" ("key_id");

-- What people changed, by the names of their keys. Changes of jobs are in job_events.
CREATE TABLE "audit_events" (
    "id" BIGSERIAL NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "key_name" TEXT NOT NULL,
    "key_tenant_id" UUID,
    "tenant_id" UUID,
    "action" TEXT NOT NULL,
    "subject" TEXT,
    "details" JSONB NOT NULL DEFAULT '{}',
    CONSTRAINT "audit_events_pkey" PRIMARY KEY ("id")
);

-- Copies of API_KEYS, made by processes of earlier versions; later ones keep none and read none. A process of an earlier
-- version makes its own again when it starts; the API removes those a day later.
DELETE FROM "api_keys";
