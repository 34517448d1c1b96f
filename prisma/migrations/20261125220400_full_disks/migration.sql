-- Workers that claim nothing, since the disk on which they store outputs is nearly full. A row counts for as long as its
-- worker goes on saying so.
CREATE TABLE "full_disks" (
    "worker_id" TEXT NOT NULL,
    "free_bytes" BIGINT NOT NULL,
    "wanted_bytes" BIGINT NOT NULL,
    "noted_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "full_disks_pkey" PRIMARY KEY ("worker_id")
);

ALTER TABLE "full_disks" SET (fillfactor = 50);
