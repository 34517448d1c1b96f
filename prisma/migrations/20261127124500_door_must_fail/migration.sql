-- A server takes some graphs that it cannot run to the end. Prompts with such graphs fail on a server, as the client expects.
ALTER TABLE "door_prompts" ADD COLUMN "must_fail" BOOLEAN NOT NULL DEFAULT false;
