-- What people chose among a tenant's jobs, on a contact sheet.
CREATE TABLE job_marks (
  job_id UUID PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  mark TEXT NOT NULL CHECK (mark IN ('pick', 'reject')),
  marked_by TEXT NOT NULL,
  marked_at TIMESTAMPTZ(3) NOT NULL DEFAULT now()
);

-- A tenant's jobs of one mark, newest first.
CREATE INDEX job_marks_by_mark_idx ON job_marks (tenant_id, mark, job_id);
