-- Which files below a job's folder other jobs own, by the beginning of their keys.
CREATE INDEX job_inputs_storage_prefix_idx ON job_inputs (storage_key text_pattern_ops) WHERE storage_key IS NOT NULL;
DROP INDEX job_inputs_storage_key_idx;
