-- The devices of a server and their free memory, as its owner last recorded them.
ALTER TABLE servers ADD COLUMN devices jsonb;
