ALTER TABLE jobs VALIDATE CONSTRAINT jobs_completed_check;
