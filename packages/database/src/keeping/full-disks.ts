import { type FullDisk } from "@genga/jobs";
import { type PrismaClient } from "../generated/client.ts";

export async function noteFullDisk(database: PrismaClient, disk: FullDisk): Promise<void> {
  const [free, wanted] = [BigInt(disk.freeBytes), BigInt(disk.wantedBytes)];
  await database.$executeRaw`
    INSERT INTO full_disks (worker_id, free_bytes, wanted_bytes) VALUES (${disk.workerId}, ${free}, ${wanted})
    ON CONFLICT (worker_id) DO UPDATE SET
      free_bytes = excluded.free_bytes, wanted_bytes = excluded.wanted_bytes, noted_at = now()`;
}

export async function noteRoom(database: PrismaClient, workerId: string): Promise<void> {
  await database.$executeRaw`
    DELETE FROM full_disks WHERE worker_id = ${workerId} OR noted_at < now() - interval '1 day'`;
}

export async function listFullDisks(database: PrismaClient, withinMs: number): Promise<FullDisk[]> {
  const rows = await database.$queryRaw<{ workerId: string; freeBytes: bigint; wantedBytes: bigint }[]>`
    SELECT worker_id AS "workerId", free_bytes AS "freeBytes", wanted_bytes AS "wantedBytes" FROM full_disks
    WHERE noted_at > now() - ${withinMs}::float8 * interval '1 millisecond' ORDER BY worker_id`;
  return rows.map(({ workerId, freeBytes, wantedBytes }) => ({
    ...{ workerId, freeBytes: Number(freeBytes), wantedBytes: Number(wantedBytes) },
  }));
}
