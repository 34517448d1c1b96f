/** What `npm run bench:depth` measures on: a database with many waiting jobs, and perhaps many ended ones, written by SQL. */
import { type Database } from "@genga/database";
import { type BullTicketQueue } from "@genga/queue";
import type pg from "pg";

export const tenants = ["default", "two", "three", "four", "five", "limited"];
const lanes = Array.from({ length: 8 }, (_, index) => `model-${index}-00000000000${index}`);
const bands = ["urgent", "high", "normal", "low"];
/** The tenant `limited` may have so many jobs running; of its other jobs none has a ticket. */
const runningMax = 4;
const ticketsAtOnce = 1_000;

/** The jobs that requests are about. */
export interface Subjects {
  tenantId: string;
  batchId: string;
  serverId: string;
  /** The job that its lane serves first, and the one that it serves last. */
  firstId: string;
  lastId: string;
}

export async function seed(
  client: pg.Client,
  database: Database,
  counts: { waiting: number; stored: number },
): Promise<Subjects> {
  const known = await database.tenants.ensureTenants(tenants);
  const ids = tenants.map((name) => known.find((tenant) => tenant.name === name)?.id);
  await client.query(
    `INSERT INTO tenant_limits (tenant_id, jobs_running_max) SELECT id, $1 FROM tenants WHERE name = 'limited'`,
    [runningMax],
  );
  const [server] = await database.servers.registerServers([{ url: "http://127.0.0.1:9", slots: 2 }]);
  await client.query(
    `INSERT INTO lanes (name, main_model, needs, run_ms, runs, load_ms)
     SELECT name, name, '{"classTypes": [], "models": [], "labels": []}', 4000, 10, 9000 FROM unnest($1::text[]) AS name`,
    [lanes],
  );
  await client.query("INSERT INTO workflows (hash, graph) VALUES ('depth', '{}') ON CONFLICT DO NOTHING");
  await insertWaiting(client, ids, counts.waiting);
  await insertStored(client, ids, counts.stored, server?.id);
  while ((await database.keeping.foldCounts(5_000)) > 0);
  await client.query("VACUUM ANALYZE");
  return await subjectsOf(client, ids[0], server?.id);
}

/** Tenants, lanes and bands have the same number of jobs each. */
async function insertWaiting(client: pg.Client, ids: unknown[], count: number): Promise<void> {
  await client.query(
    `CREATE TEMP TABLE waiting AS
     SELECT uuidv7() AS id, tenant, lane, band::job_priority AS band, i,
       16 * row_number() OVER (PARTITION BY tenant, lane, band ORDER BY i) AS rank
     FROM generate_series(0, $1::int - 1) i, LATERAL (SELECT ($2::uuid[])[1 + i % 6] AS tenant,
       ($3::text[])[1 + i / 6 % 8] AS lane, ($4::text[])[1 + i / 48 % 4] AS band) place`,
    [count, ids, lanes, bands],
  );
  await client.query(
    `INSERT INTO batches (id, tenant_id, name, total) SELECT uuidv7(), tenant, 'depth', count(*) FROM waiting GROUP BY tenant`,
  );
  await client.query(
    `INSERT INTO jobs (id, tenant_id, batch_id, batch_index, type, priority, lane, rank, timeout_ms, created_at)
     SELECT waiting.id, tenant, batch.id, i, 'workflow', band, lane, rank, 60000, now() - i * interval '1 millisecond'
     FROM waiting JOIN batches batch ON batch.tenant_id = tenant ORDER BY waiting.id`,
  );
  await client.query(
    `INSERT INTO job_parameters (job_id, parameters, prompt_text, workflow_hash, uploads_noted)
     SELECT id, 'null', 'a harbour at dusk, number ' || i, 'depth', true FROM waiting`,
  );
  await client.query(`INSERT INTO lane_clocks (lane, priority) SELECT DISTINCT lane, band FROM waiting`);
  await client.query(
    `INSERT INTO tenant_queues (tenant_id, priority, lane, last_rank, begun_rank, backlog_units)
     SELECT tenant, band, lane, max(rank), 0, max(rank) FROM waiting GROUP BY tenant, band, lane`,
  );
}

/** Ended jobs, each with parameters and an attempt. */
async function insertStored(
  client: pg.Client,
  ids: unknown[],
  count: number,
  serverId: string | undefined,
): Promise<void> {
  if (count === 0) return;
  await client.query(
    `CREATE TEMP TABLE stored AS SELECT uuidv7(-i * interval '1 second') AS id, i, ($2::uuid[])[1 + i % 6] AS tenant
     FROM generate_series(1, $1::int) i`,
    [count, ids],
  );
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, status, phase, rank, attempt, attempts_charged, percent, timeout_ms, created_at,
       finished_at, server_id, output_bytes)
     SELECT id, tenant, 'workflow', 'completed', NULL, i, 1, 1, 100, 60000, now() - i * interval '1 second',
       now() - i * interval '1 second', $1, 1000 FROM stored`,
    [serverId],
  );
  await client.query(
    `INSERT INTO job_parameters (job_id, parameters, prompt_text, workflow_hash, uploads_noted)
     SELECT id, 'null', 'a harbour at dawn, number ' || i, 'depth', true FROM stored`,
  );
  await client.query(
    `INSERT INTO job_attempts (job_id, number, prompt_id, client_id, server_id, worker_id, lease_number, finished_at, outcome)
     SELECT id, 1, uuidv7(), 'client', $1, 'worker', 1, now(), 'completed' FROM stored`,
    [serverId],
  );
}

async function subjectsOf(
  client: pg.Client,
  tenantId: string | undefined,
  serverId: string | undefined,
): Promise<Subjects> {
  const one = async (order: string): Promise<{ id: string; batch_id: string }> => {
    const { rows } = await client.query<{ id: string; batch_id: string }>(
      `SELECT id, batch_id FROM jobs WHERE status = 'queued' AND tenant_id = $1 AND lane = $2
       ORDER BY priority ${order}, rank ${order} LIMIT 1`,
      [tenantId, lanes[0]],
    );
    if (rows[0] === undefined) throw new Error("There are too few jobs for the benchmark.");
    return rows[0];
  };
  const [first, last] = [await one("ASC"), await one("DESC")];
  if (tenantId === undefined || serverId === undefined) throw new Error("A tenant or the server is missing.");
  return { tenantId, serverId, batchId: first.batch_id, firstId: first.id, lastId: last.id };
}

/** Adds the tickets of all jobs that may have one, as the sweeper does. @returns how many */
export async function announceAll(database: Database, tickets: BullTicketQueue): Promise<number> {
  for (let count = 0; ;) {
    const announcements = await database.jobAnnouncer.listUnannounced(ticketsAtOnce);
    if (announcements.length === 0) return count;
    await tickets.add(announcements, { areNew: true });
    await database.jobAnnouncer.markEnqueued(announcements);
    count += announcements.length;
  }
}
