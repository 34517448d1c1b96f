-- A tenant's jobs of one template, newest first. Alone, so that no lock of a change of columns is held while it is built.
CREATE INDEX "jobs_template_idx" ON "jobs"("tenant_id", "template_name", "id") WHERE "template_name" IS NOT NULL;
