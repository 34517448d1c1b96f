-- Why a worker cannot write to its storage for outputs; NULL = the disk has too little free space.
ALTER TABLE "full_disks" ADD COLUMN "fault" TEXT;

-- Servers that are well, and get no new work, since their worker could not store the outputs.
ALTER TYPE "server_state" ADD VALUE 'storage-full';
ALTER TYPE "server_state" ADD VALUE 'storage-unavailable';
