-- Servers that operators added by the API. One that was removed stays until its jobs have ended, with its credentials.
CREATE TABLE added_servers (
  server_id uuid PRIMARY KEY REFERENCES servers (id) ON DELETE CASCADE,
  slots integer NOT NULL,
  labels text[] NOT NULL DEFAULT '{}',
  credential text,
  sealed_authorization bytea,
  added_at timestamptz(3) NOT NULL DEFAULT now(),
  removed_at timestamptz(3)
);
