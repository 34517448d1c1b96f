-- The place of a job in a distributed trace, as the header traceparent has it; null = its request named none, and nothing is traced.
ALTER TABLE "jobs" ADD COLUMN "traceparent" TEXT;
