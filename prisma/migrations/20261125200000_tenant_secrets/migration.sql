-- What makes a tenant's names on ComfyUI servers unguessable: 32 random bytes for each tenant, made by the database, so that
-- processes of an earlier version, which do not know of it, make tenants with one, too.
ALTER TABLE "tenants" ADD COLUMN "secret" BYTEA NOT NULL
  DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
