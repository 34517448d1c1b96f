/**
 * What `/history` of ComfyUI's own protocol costs when much was stored: its newest 200 entries, one entry by its id, and 10,000
 * entries, of a tenant with 1,000 prompts and of the same tenant with a million. The prompts are written by SQL, each with a graph, an
 * entry and a file's name. Beside it the memory of the API while it sends 10,000 entries.
 *
 * npm run bench:history [-- --stored 1000000 --looks 20]
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { defaultTenantId, migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import pg from "pg";
import { z } from "zod";
import { median } from "./support/median.ts";
import { residentMb } from "./support/resident-memory.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({ stored: count.default(1_000_000), looks: count.default(20) });
const few = 1_000;
const thousandLooks = 5;

/** The prompts of these numbers: completed jobs, each with an attempt, a graph of its own, and what a server's history said of it. */
async function insertPrompts(client: pg.Client, from: number, to: number): Promise<void> {
  const given = [from, to];
  await client.query(`DROP TABLE IF EXISTS told`);
  await client.query(
    `CREATE TEMP TABLE told AS SELECT i, uuidv7(-($2 - i) * interval '1 second') AS id, gen_random_uuid()::text AS prompt_id
     FROM generate_series($1::int + 1, $2::int) i`,
    given,
  );
  await client.query(
    `INSERT INTO workflows (hash, graph) SELECT encode(sha256(id::text::bytea), 'hex'), jsonb_build_object(
       '1', jsonb_build_object('class_type', 'EmptyImage', 'inputs', jsonb_build_object('width', 64, 'height', 64, 'batch_size', 1, 'color', i)),
       '2', jsonb_build_object('class_type', 'SaveImage', 'inputs', jsonb_build_object('images', '["1", 0]'::jsonb, 'filename_prefix', 'bench')))
     FROM told`,
  );
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, status, phase, rank, attempt, attempts_charged, percent, timeout_ms, door, started_at, finished_at)
     SELECT id, $1::uuid, 'workflow', 'completed', NULL, i, 1, 1, 100, 60000, true, now(), now() FROM told ORDER BY i`,
    [defaultTenantId],
  );
  await client.query(
    `INSERT INTO job_parameters (job_id, parameters, prompt_text, workflow_hash, uploads_noted)
     SELECT id, 'null', '', encode(sha256(id::text::bytea), 'hex'), true FROM told`,
  );
  await client.query(
    `INSERT INTO door_prompts (job_id, tenant_id, key_name, prompt_id, client_id, number, said_hash, output_nodes)
     SELECT id, $1::uuid, 'keyless', prompt_id, 'bench', i, encode(sha256(id::text::bytea), 'hex'), '{2}' FROM told ORDER BY i`,
    [defaultTenantId],
  );
  await client.query(
    `INSERT INTO door_entries (job_id, attempt, entry) SELECT id, 1, json_build_object(
       'outputs', json_build_object('2', json_build_object('images', json_build_array(
         json_build_object('filename', 'bench_' || i || '_.png', 'subfolder', '', 'type', 'output')))),
       'status', json_build_object('status_str', 'success', 'completed', true, 'messages', json_build_array(
         json_build_array('execution_start', json_build_object('prompt_id', prompt_id, 'timestamp', 1)),
         json_build_array('execution_cached', json_build_object('nodes', '[]'::json, 'prompt_id', prompt_id, 'timestamp', 2)),
         json_build_array('execution_success', json_build_object('prompt_id', prompt_id, 'timestamp', 3)))),
       'meta', json_build_object('2', json_build_object('node_id', '2', 'display_node', '2', 'parent_node', NULL, 'real_node_id', '2')))::text
     FROM told`,
  );
  await client.query("VACUUM ANALYZE");
}

interface Looked {
  newestMs: number;
  oneMs: number;
  thousandMs: number;
}

async function look(
  doorUrl: string,
  { looks, promptId }: { looks: number; promptId: string },
): Promise<Looked> {
  const timed = async (path: string, entries: number, times: number): Promise<number> => {
    const durations: number[] = [];
    for (let time = 0; time <= times; time += 1) {
      const startedAt = performance.now();
      const response = await fetch(`${doorUrl}${path}`);
      const answer = (await response.json()) as object;
      // The first one warms up.
      if (time > 0) durations.push(performance.now() - startedAt);
      const found = Object.keys(answer).length;
      if (found !== entries) throw new Error(`${path} has ${found} entries instead of ${entries}.`);
    }
    return median(durations);
  };
  return {
    newestMs: await timed("/history", 200, looks),
    oneMs: await timed(`/history/${promptId}`, 1, looks),
    // As many entries each time, so that the figures can be compared.
    thousandMs: await timed(`/history?max_items=${few}`, few, thousandLooks),
  };
}

interface Sent {
  restMb: number;
  peakMb: number;
  bytes: number;
  seconds: number;
}

/** Fetches as many entries as one answer has, and watches the memory of the API meanwhile. */
async function fetchMost(doorUrl: string, apiPid: number): Promise<Sent> {
  const restMb = await residentMb(apiPid);
  const startedAt = performance.now();
  const response = await fetch(`${doorUrl}/history?max_items=10000`);
  if (!response.ok || response.body === null)
    throw new Error(`/history was answered with ${response.status}.`);
  let bytes = 0;
  let peakMb = restMb;
  for await (const chunk of Readable.fromWeb(response.body)) {
    bytes += (chunk as Uint8Array).length;
    peakMb = Math.max(peakMb, await residentMb(apiPid));
  }
  return { restMb, peakMb, bytes, seconds: (performance.now() - startedAt) / 1_000 };
}

export async function run({ stored, looks }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({
    dataDir: join(folder, "services"),
    report: () => undefined,
  });
  const client = new pg.Client({ connectionString: services.databaseUrl });
  try {
    await migrate({ databaseUrl: services.databaseUrl });
    await client.connect();
    const api = await startServiceProcess({
      entry: "apps/api/src/main.ts",
      env: {
        ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: folder },
        ...{ PORT: "0", COMFYUI_DOOR_PORT: "0", LOG_LEVEL: "warn", TENANT_REQUESTS_PER_MINUTE: "1000000" },
      },
    });
    try {
      const doorUrl = String(api.details["doorUrl"]);
      const measure = async (from: number, to: number): Promise<Looked> => {
        await insertPrompts(client, from, to);
        const { rows } = await client.query<{ prompt_id: string }>(
          "SELECT prompt_id FROM told ORDER BY i LIMIT 1",
        );
        const promptId = rows[0]?.prompt_id ?? "";
        // The first look compiles code and opens connections.
        await look(doorUrl, { looks, promptId });
        const looked = await look(doorUrl, { looks, promptId });
        console.log(`${to} prompts: ${JSON.stringify(looked)}`);
        return looked;
      };
      const small = await measure(0, few);
      const large = await measure(few, stored);
      const row = (figure: string, of: keyof Looked): Row => ({
        ...{ bench: "soak: history", figure: `${figure}: ${stored} prompts ÷ ${few}`, unit: "×" },
        ...{ value: large[of] / small[of], reach: { atMost: 1.5 } },
        note: `${small[of].toFixed(1)} ms, then ${large[of].toFixed(1)} ms`,
      });
      const { restMb, peakMb, bytes, seconds } = await fetchMost(doorUrl, api.pid);
      return [
        row("GET /history", "newestMs"),
        row("GET /history/{id}", "oneMs"),
        row(`GET /history?max_items=${few}`, "thousandMs"),
        {
          ...{ bench: "soak: history", figure: "10,000 entries: RSS of the API at its highest ÷ before" },
          ...{ value: peakMb / restMb, unit: "×", reach: { atMost: 1.3 } },
          note: `${restMb.toFixed(0)} MB, at most ${peakMb.toFixed(0)} MB; ${(bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`,
        },
      ];
    } finally {
      await api.stop();
    }
  } finally {
    await client.end().catch(() => undefined);
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
