import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";

/** The process of PostgreSQL that waits for a lock on the table, as soon as there is one. */
export async function untilOneWaitsFor(client: pg.Client, table: string): Promise<number> {
  for (;;) {
    const pid = (await waitingFor(client, table))[0];
    if (pid !== undefined) return pid;
    await sleep(20);
  }
}

export async function waitingFor(client: pg.Client, table: string): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>(
    "SELECT pid FROM pg_locks WHERE NOT granted AND relation = $1::regclass",
    [table],
  );
  return rows.map(({ pid }) => pid);
}
