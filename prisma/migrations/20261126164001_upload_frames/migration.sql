-- Uploads may be animations and videos. Rows of earlier versions do not say how many pictures they have.
ALTER TABLE uploads ADD COLUMN frames INTEGER, ADD COLUMN duration_ms INTEGER;

ALTER TABLE uploads DROP CONSTRAINT uploads_bounds_check;
ALTER TABLE uploads ADD CONSTRAINT uploads_bounds_check CHECK (
  sha256 ~ '^[0-9a-f]{64}$' AND bytes > 0 AND width > 0 AND height > 0 AND frames > 0 AND duration_ms > 0
  AND media_type IN ('image/png', 'image/jpeg', 'image/webp', 'image/gif', 'video/mp4'));
