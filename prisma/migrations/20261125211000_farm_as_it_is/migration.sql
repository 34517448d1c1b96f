-- A worker that stopped is remembered for a while, with the servers that its configuration named: its successor may name
-- them a moment later.
ALTER TABLE "workers" ADD COLUMN "stopped_at" TIMESTAMPTZ(3);

-- A server that an operator removed keeps its row, which its attempts refer to.
ALTER TABLE "servers" ADD COLUMN "removed_at" TIMESTAMPTZ(3);

-- One row while an operator keeps the whole farm from beginning anything new.
CREATE TABLE "farm_pauses" (
    "is_farm" BOOLEAN NOT NULL DEFAULT true,
    "paused_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "paused_by" TEXT NOT NULL,

    CONSTRAINT "farm_pauses_pkey" PRIMARY KEY ("is_farm"),
    CONSTRAINT "farm_pauses_only_one" CHECK ("is_farm")
);
