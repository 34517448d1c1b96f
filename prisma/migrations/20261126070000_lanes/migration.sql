-- What all jobs of a lane need of a server, and what was measured of them.
CREATE TABLE "lanes" (
    "name" TEXT NOT NULL,
    "main_model" TEXT,
    "needs" JSONB NOT NULL,
    "run_ms" REAL,
    "runs" INTEGER NOT NULL DEFAULT 0,
    "load_ms" REAL,
    "last_served_at" TIMESTAMPTZ(3),
    "paused_at" TIMESTAMPTZ(3),
    "paused_by" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_used_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "lanes_pkey" PRIMARY KEY ("name")
);

-- By hand from here on ------------------------------------------------------------------------------------------------

ALTER TABLE "lanes"
  ADD CONSTRAINT "lanes_name_check" CHECK ("name" ~ '^[a-z0-9][a-z0-9._-]{0,99}$' AND "name" <> 'default'),
  ADD CONSTRAINT "lanes_measures_check" CHECK ("run_ms" >= 0 AND "runs" >= 0 AND "load_ms" >= 0),
  ADD CONSTRAINT "lanes_paused_check" CHECK (("paused_at" IS NULL) = ("paused_by" IS NULL));
