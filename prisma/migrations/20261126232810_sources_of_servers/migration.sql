-- Which source names a server, and how its owner reaches it.
CREATE TYPE server_source AS ENUM ('setting', 'file', 'api');
ALTER TABLE servers
  ADD COLUMN source server_source NOT NULL DEFAULT 'setting',
  ADD COLUMN resolved_from text,
  ADD COLUMN credential text;

-- Why a worker does not use the servers that its sources name now.
ALTER TABLE workers ADD COLUMN servers_problem text;
