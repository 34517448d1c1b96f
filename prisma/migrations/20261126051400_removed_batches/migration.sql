-- What is left of a batch whose last job was removed.
CREATE TABLE "removed_batches" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "removed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "removed_batches_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "removed_batches_removed_at_idx" ON "removed_batches"("removed_at");
