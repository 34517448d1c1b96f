-- What was made for a webhook while many others waited for it. These are found by their webhook, and the others by when they are
-- due: so looking for what is due does not read a whole backlog of a webhook that has as many requests under way as it may.
ALTER TABLE "webhook_deliveries" ADD COLUMN "in_backlog" BOOLEAN NOT NULL DEFAULT false;
