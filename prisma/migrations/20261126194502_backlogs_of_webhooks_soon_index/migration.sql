-- In a transaction of its own: the new column locks out readers, and must not do so while an index is built.
CREATE INDEX "webhook_deliveries_soon_idx" ON "webhook_deliveries"("tenant_id", "due_at", "webhook_id")
  WHERE "status" = 'pending' AND NOT "in_backlog";
