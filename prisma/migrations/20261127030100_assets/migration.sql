-- The Comfy API v2: records of tenants over their uploads, which are found by the BLAKE3 of their content.
ALTER TABLE uploads ADD COLUMN blake3 TEXT;
CREATE INDEX uploads_blake3_idx ON uploads (tenant_id, blake3) WHERE blake3 IS NOT NULL;

CREATE TABLE assets (
  id UUID PRIMARY KEY,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  upload_id UUID NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
  file_path TEXT,
  tags TEXT[] NOT NULL DEFAULT '{}',
  created_at TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
  expires_at TIMESTAMPTZ(3)
);
CREATE INDEX assets_upload_idx ON assets (upload_id);
CREATE INDEX assets_expiry_idx ON assets (expires_at) WHERE expires_at IS NOT NULL;

-- Some ways into Genga forget a key after a fixed time, whatever became of what it was used for.
ALTER TABLE idempotency_keys ADD COLUMN expires_at TIMESTAMPTZ(3);
CREATE INDEX idempotency_keys_expiry_idx ON idempotency_keys (expires_at) WHERE expires_at IS NOT NULL;
