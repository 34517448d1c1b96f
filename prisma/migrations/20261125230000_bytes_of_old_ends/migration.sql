-- Processes of an earlier version, which do not know "output_bytes", end jobs during a rolling deploy: what they stored would
-- count as nothing for as long as it is kept. Ends of this version have set the column by the time the trigger looks.
CREATE FUNCTION "count_output_bytes"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE jobs SET output_bytes = ended.bytes
  FROM (SELECT job_id, sum(bytes) AS bytes FROM stored GROUP BY job_id) ended
  WHERE jobs.id = ended.job_id AND jobs.output_bytes = 0 AND ended.bytes > 0;
  RETURN NULL;
END
$$;

CREATE TRIGGER "outputs_count_bytes" AFTER INSERT ON "outputs" REFERENCING NEW TABLE AS "stored"
  FOR EACH STATEMENT EXECUTE FUNCTION "count_output_bytes"();
