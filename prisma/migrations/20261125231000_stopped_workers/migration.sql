-- A worker of an earlier version deletes its row as it stops. During a rolling deploy the servers that only it named would be
-- retired until its successor names them, and what only they can run would be refused: the row is kept as a stopped one's.
CREATE FUNCTION "keep_stopped_worker"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE workers SET stopped_at = now() WHERE id = OLD.id AND stopped_at IS NULL;
  RETURN NULL;
END
$$;

CREATE TRIGGER "workers_keep_stopped" BEFORE DELETE ON "workers" FOR EACH ROW
  WHEN (OLD.last_seen_at > now() - interval '1 hour')
  EXECUTE FUNCTION "keep_stopped_worker"();

-- When it comes back under the same name it does not know that it was stopped.
CREATE FUNCTION "wake_stopped_worker"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.stopped_at := NULL;
  RETURN NEW;
END
$$;

CREATE TRIGGER "workers_wake_stopped" BEFORE UPDATE OF "last_seen_at" ON "workers" FOR EACH ROW
  WHEN (OLD.stopped_at IS NOT NULL AND NEW.last_seen_at > OLD.last_seen_at)
  EXECUTE FUNCTION "wake_stopped_worker"();
