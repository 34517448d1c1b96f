-- The recycling of servers: what is wanted or under way, and how the last one went.
CREATE TABLE "server_upkeep" (
  "server_id" UUID NOT NULL,
  "prompts_run" INTEGER NOT NULL DEFAULT 0,
  "recycle_reason" TEXT,
  "recycle_asked_at" TIMESTAMPTZ(3),
  "recycle_begun_at" TIMESTAMPTZ(3),
  "recycled_at" TIMESTAMPTZ(3),
  "last_reason" TEXT,
  "last_outcome" TEXT,
  "last_message" TEXT,
  CONSTRAINT "server_upkeep_pkey" PRIMARY KEY ("server_id"),
  CONSTRAINT "server_upkeep_server_id_fkey" FOREIGN KEY ("server_id") REFERENCES "servers" ("id") ON DELETE CASCADE
);
