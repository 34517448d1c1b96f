-- Of two prompts with one id and graph that are sent at the same time, only one becomes a job.
ALTER TABLE "door_prompts" ADD COLUMN "place" TEXT;
CREATE UNIQUE INDEX "door_prompts_place_key" ON "door_prompts"("tenant_id", "place");
