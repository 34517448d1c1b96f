-- How long runs take, by what was measured of completed ones: docs/eta.md.

CREATE TABLE "run_durations" (
    "key" TEXT NOT NULL,
    "samples" DOUBLE PRECISION[] NOT NULL,
    "nodes" JSONB NOT NULL,
    "used_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "run_durations_pkey" PRIMARY KEY ("key")
);
CREATE INDEX "run_durations_used_at_idx" ON "run_durations"("used_at");

CREATE TABLE "estimate_errors" (
    "id" BIGSERIAL NOT NULL,
    "error" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "estimate_errors_pkey" PRIMARY KEY ("id")
);

-- How much longer the attempt will probably run, as its worker said with its last progress.
ALTER TABLE "jobs"
  ADD COLUMN "remaining_low_ms" INTEGER,
  ADD COLUMN "remaining_high_ms" INTEGER,
  ADD COLUMN "progress_at" TIMESTAMPTZ(3);

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "run_durations" SET (fillfactor = 50);
