CREATE INDEX jobs_reuse_idx ON jobs (tenant_id, reuse_hash)
  WHERE status = 'completed' AND reuse_hash IS NOT NULL AND cardinality(warnings) = 0;
