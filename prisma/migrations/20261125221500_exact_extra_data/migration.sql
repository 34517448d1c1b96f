-- The open part of `extraData` as its client wrote it, where it holds numbers that the parameters show as text: whole numbers
-- beyond 2^53-1, and floats such as 1.0. It goes to the server as it stands here.
ALTER TABLE "job_parameters" ADD COLUMN "extra_data_text" TEXT;
