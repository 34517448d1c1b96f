-- What waits for one webhook, to give it up all at once when the webhook is disabled or removed.
CREATE INDEX "webhook_deliveries_waiting_idx" ON "webhook_deliveries"("webhook_id", "due_at") WHERE "status" = 'pending';
