-- Sign-ins of browsers. Of the token in the cookie only its SHA-256 is stored.
CREATE TABLE "sessions" (
    "id" UUID NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "tenant_id" UUID NOT NULL,
    -- The name of the key at the sign-in.
    "key_name" TEXT NOT NULL,
    -- The value of a created key: the session ends with it.
    "secret_hash" BYTEA,
    -- Of a key of API_KEYS: HMAC-SHA256 of the key's hash under the token. Such keys may be short, so no plain hash of one is
    -- stored: whoever reads the table could try keys.
    "key_proof" BYTEA,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    -- To the minute.
    "last_used_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    -- The session ends here unless it is used before; never after expires_at.
    "idle_until" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sessions_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "sessions_one_kind_of_key" CHECK (("secret_hash" IS NULL) <> ("key_proof" IS NULL)),
    CONSTRAINT "sessions_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "sessions_secret_hash_fkey" FOREIGN KEY ("secret_hash") REFERENCES "access_key_secrets"("hash") ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE UNIQUE INDEX "sessions_token_hash_key" ON "sessions"("token_hash");
CREATE INDEX "sessions_secret_hash_idx" ON "sessions"("secret_hash");
CREATE INDEX "sessions_tenant_id_key_name_last_used_at_idx" ON "sessions"("tenant_id", "key_name", "last_used_at");
CREATE INDEX "sessions_idle_until_idx" ON "sessions"("idle_until");
