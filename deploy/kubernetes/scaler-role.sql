-- The role with which KEDA counts the work of each pool. It sees where jobs are and whether they can run, and nothing of
-- what they are: no prompt, no graph, no tenant. Run it by the owner of the database, after the migrations and after a restore (it may run again); then:
--   \password genga_scaler
DO $$
BEGIN
  CREATE ROLE genga_scaler;
EXCEPTION WHEN duplicate_object THEN
  NULL;
END
$$;
ALTER ROLE genga_scaler LOGIN CONNECTION LIMIT 10;
ALTER ROLE genga_scaler SET default_transaction_read_only = on;
ALTER ROLE genga_scaler SET statement_timeout = '5s';
GRANT USAGE ON SCHEMA public TO genga_scaler;
GRANT SELECT (lane, status, enqueued_at, paused_at, open_dependencies, run_at) ON jobs TO genga_scaler;
GRANT SELECT (name, needs, paused_at) ON lanes TO genga_scaler;
GRANT SELECT (paused_at) ON farm_pauses TO genga_scaler;
