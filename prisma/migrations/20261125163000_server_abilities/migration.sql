-- What a server can beside what every ComfyUI can, as it was probed.
ALTER TABLE "servers" ADD COLUMN "abilities" JSONB;

-- What takes the place of node classes that a server no longer has (`GET /node_replacements`).
ALTER TABLE "node_definitions" ADD COLUMN "replacements" JSONB;
