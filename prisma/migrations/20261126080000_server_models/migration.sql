-- What each server ran last, so that its next owner, and other workers, know what it has loaded.
ALTER TABLE "servers" ADD COLUMN "lane" TEXT,
ADD COLUMN "loaded_model" TEXT,
ADD COLUMN "model_since" TIMESTAMPTZ(3);
