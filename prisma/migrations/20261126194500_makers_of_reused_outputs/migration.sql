-- Of a job that was answered from another one the job that made the outputs, however many were answered from each other between
-- them. It may have been removed since. NULL of jobs that ran, and of those whose maker an older version did not note.
ALTER TABLE jobs ADD COLUMN made_by UUID;
