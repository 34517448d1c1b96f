-- Prompts of attempts that have ended whose entries may still be in the history of their server: noted in the transaction
-- that records the end, so that a crash right after it leaves no entry for ever. No foreign key: it would be checked for
-- every end of a job, and a note of a server that is gone is forgotten some time later.
CREATE TABLE "prompts_to_forget" (
    "prompt_id" UUID NOT NULL,
    "server_id" UUID NOT NULL,
    "ended_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "prompts_to_forget_pkey" PRIMARY KEY ("prompt_id")
);

CREATE INDEX "prompts_to_forget_server_id_ended_at_idx" ON "prompts_to_forget"("server_id", "ended_at");

-- By hand from here on ------------------------------------------------------------------------------------------------

-- Written and deleted with every job, and small: it must not grow between two vacuums.
ALTER TABLE "prompts_to_forget" SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
