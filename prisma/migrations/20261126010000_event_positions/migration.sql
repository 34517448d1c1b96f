-- Positions of events in the order of their commits, across jobs. Whoever appends an event also leaves a note of it here, in
-- the same transaction; the sequencer takes the notes that are committed and gives their events positions.
CREATE TABLE "unsequenced_events" (
    "job_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "id" BIGSERIAL NOT NULL,

    CONSTRAINT "unsequenced_events_pkey" PRIMARY KEY ("job_id","sequence")
);

CREATE TABLE "event_positions" (
    "position" BIGINT NOT NULL,
    "job_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "tenant_id" UUID NOT NULL,
    "batch_id" UUID,

    CONSTRAINT "event_positions_pkey" PRIMARY KEY ("position")
);
CREATE UNIQUE INDEX "event_positions_job_id_sequence_key" ON "event_positions"("job_id", "sequence");
CREATE INDEX "event_positions_tenant_id_position_idx" ON "event_positions"("tenant_id", "position");

-- One row: the highest position that was given, and up to which position the oldest were removed.
CREATE TABLE "event_feed" (
    "is_feed" BOOLEAN NOT NULL DEFAULT true,
    "position" BIGINT NOT NULL DEFAULT 0,
    "removed_up_to" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "event_feed_pkey" PRIMARY KEY ("is_feed"),
    CONSTRAINT "event_feed_only_one" CHECK ("is_feed")
);

-- By hand from here on ------------------------------------------------------------------------------------------------

CREATE INDEX "event_positions_batch_id_position_idx" ON "event_positions"("batch_id", "position") WHERE "batch_id" IS NOT NULL;
ALTER TABLE "event_positions" ADD CONSTRAINT "event_positions_bounds_check" CHECK ("position" >= 1 AND "sequence" >= 1);
ALTER TABLE "event_feed" ADD CONSTRAINT "event_feed_bounds_check" CHECK ("removed_up_to" BETWEEN 0 AND "position");
ALTER TABLE "event_feed" SET (fillfactor = 50);
-- Written and deleted all the time, and small: it must not grow between two vacuums.
ALTER TABLE "unsequenced_events" SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

INSERT INTO "event_feed" DEFAULT VALUES;

-- A trigger, so that no statement that appends events can forget the note, nor a process of an earlier version. A job's
-- events are appended under the lock of its row, so that the ids of its notes rise with its sequence.
CREATE FUNCTION "note_unsequenced_events"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO unsequenced_events (job_id, sequence)
  SELECT job_id, sequence FROM appended ORDER BY sequence;
  RETURN NULL;
END
$$;

CREATE TRIGGER "job_events_note_unsequenced" AFTER INSERT ON "job_events"
  REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION "note_unsequenced_events"();

-- Notes and positions of a removed job go with it. Neither table has a foreign key: checking it would cost every event, and
-- the sequencer would lock rows of jobs. The notes go first: if the sequencer is just taking one of them, this waits for it,
-- and then finds the position.
CREATE FUNCTION "remove_event_positions"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM unsequenced_events WHERE job_id IN (SELECT id FROM removed);
  DELETE FROM event_positions WHERE job_id IN (SELECT id FROM removed);
  RETURN NULL;
END
$$;

CREATE TRIGGER "jobs_remove_event_positions" AFTER DELETE ON "jobs"
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "remove_event_positions"();
