-- Searches for a text anywhere in a prompt. The extension comes with PostgreSQL (contrib), and the owner of a database may
-- create it. Where it is missing searches work all the same, and look at every prompt of the tenant until their time is up.
DO $$
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  CREATE INDEX "job_parameters_prompt_text_idx" ON "job_parameters" USING gin ("prompt_text" gin_trgm_ops);
EXCEPTION
  WHEN feature_not_supported OR insufficient_privilege OR undefined_file OR undefined_object THEN
    RAISE WARNING 'searches for texts have no index: %', SQLERRM;
END
$$;
