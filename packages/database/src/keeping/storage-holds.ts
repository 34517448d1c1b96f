import { type StorageHold, toStorableText } from "@genga/jobs";
import { type PrismaClient } from "../generated/client.ts";

export async function noteStorageHold(database: PrismaClient, hold: StorageHold): Promise<void> {
  const [free, wanted] = [BigInt(hold.freeBytes), BigInt(hold.wantedBytes)];
  const fault = hold.fault === null ? null : toStorableText(hold.fault);
  await database.$executeRaw`
    INSERT INTO full_disks (worker_id, free_bytes, wanted_bytes, fault)
    VALUES (${hold.workerId}, ${free}, ${wanted}, ${fault})
    ON CONFLICT (worker_id) DO UPDATE SET free_bytes = excluded.free_bytes, wanted_bytes = excluded.wanted_bytes,
      fault = excluded.fault, noted_at = now()`;
}

export async function noteStorageFree(database: PrismaClient, workerId: string): Promise<void> {
  await database.$executeRaw`
    DELETE FROM full_disks WHERE worker_id = ${workerId} OR noted_at < now() - interval '1 day'`;
}

interface StorageHoldRow {
  workerId: string;
  freeBytes: bigint;
  wantedBytes: bigint;
  fault: string | null;
}

export async function listStorageHolds(database: PrismaClient, withinMs: number): Promise<StorageHold[]> {
  const rows = await database.$queryRaw<StorageHoldRow[]>`
    SELECT worker_id AS "workerId", free_bytes AS "freeBytes", wanted_bytes AS "wantedBytes", fault FROM full_disks
    WHERE noted_at > now() - ${withinMs}::float8 * interval '1 millisecond' ORDER BY worker_id`;
  return rows.map(({ workerId, freeBytes, wantedBytes, fault }) => ({
    ...{ workerId, freeBytes: Number(freeBytes), wantedBytes: Number(wantedBytes), fault },
  }));
}
