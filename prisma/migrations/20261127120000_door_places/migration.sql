-- Of two prompts with one id and graph that are sent at the same time, only one becomes a job. The index comes by itself, so that prompts
-- can be read while it is made.
ALTER TABLE "door_prompts" ADD COLUMN "place" TEXT;
