import { Prisma } from "../../generated/client.ts";
import { laneIsPaused } from "../../lanes/prisma-lane-pauses.ts";
import { farmIsPaused } from "../../servers/prisma-farm-store.ts";

/**
 * Whether the processing job (a table or alias named `job`) could be claimed again if it were queued. Nobody has asked to
 * cancel it, and neither the farm, nor its lane, nor its batch is paused.
 */
export const mayBeQueued = Prisma.sql`(
  job.cancel_requested_at IS NULL AND NOT ${farmIsPaused} AND NOT ${laneIsPaused}
  AND NOT EXISTS (SELECT FROM batches WHERE batches.id = job.batch_id AND batches.paused_at IS NOT NULL))`;
