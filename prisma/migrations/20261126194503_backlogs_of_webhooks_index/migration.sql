-- In a transaction of its own: the new column locks out readers, and must not do so while an index is built.
CREATE INDEX "webhook_deliveries_backlog_idx" ON "webhook_deliveries"("tenant_id", "webhook_id", "due_at")
  WHERE "status" = 'pending' AND "in_backlog";
