-- Images that tenants sent, to begin with or as masks. The bytes are in storage, by content.
CREATE TABLE "uploads" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "sha256" TEXT NOT NULL,
    "media_type" TEXT NOT NULL,
    "bytes" INTEGER NOT NULL,
    "width" INTEGER NOT NULL,
    "height" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "uploads_pkey" PRIMARY KEY ("id")
);

-- The same content of the same tenant is one upload.
CREATE UNIQUE INDEX "uploads_tenant_id_sha256_key" ON "uploads"("tenant_id", "sha256");

ALTER TABLE "uploads" ADD CONSTRAINT "uploads_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "uploads" ADD CONSTRAINT "uploads_bounds_check" CHECK (
    "sha256" ~ '^[0-9a-f]{64}$' AND "bytes" > 0 AND "width" > 0 AND "height" > 0
    AND "media_type" IN ('image/png', 'image/jpeg', 'image/webp'));
