-- Prompts of removed jobs that may still wait or run on a server which was away when their attempts ended: its owner takes
-- them back when it sees them. A row goes once its server has been seen for a while, or after a month.
CREATE TABLE "abandoned_prompts" (
  "prompt_id" UUID NOT NULL,
  "server_id" UUID NOT NULL,
  "noted_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
  CONSTRAINT "abandoned_prompts_pkey" PRIMARY KEY ("prompt_id"),
  CONSTRAINT "abandoned_prompts_server_id_fkey" FOREIGN KEY ("server_id") REFERENCES "servers" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE INDEX "abandoned_prompts_server_id_idx" ON "abandoned_prompts" ("server_id");
CREATE INDEX "abandoned_prompts_noted_at_idx" ON "abandoned_prompts" ("noted_at");
