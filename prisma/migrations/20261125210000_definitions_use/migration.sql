-- AlterTable
ALTER TABLE "node_definitions" ADD COLUMN     "last_named_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;
