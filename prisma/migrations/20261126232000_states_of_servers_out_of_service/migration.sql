-- Servers that are well, and get no new work: their worker takes none, or they are being recycled.
ALTER TYPE "server_state" ADD VALUE 'leaving';
ALTER TYPE "server_state" ADD VALUE 'recycling';
