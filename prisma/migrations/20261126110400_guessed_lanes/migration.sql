-- Lanes of jobs that were accepted while no server was known: their needs were guessed from the names in the graphs.
ALTER TABLE "lanes" ADD COLUMN "is_guessed" BOOLEAN NOT NULL DEFAULT false;

-- By hand from here on ------------------------------------------------------------------------------------------------

CREATE INDEX "lanes_guessed_idx" ON "lanes"("name") WHERE "is_guessed";
