import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setImmediate } from "node:timers/promises";
import pg from "pg";
import { StoreUnavailableError } from "@genga/jobs";
import { buildJob } from "@genga/testing";
import { listJobs, listStatement } from "../src/jobs/reading/list-jobs.ts";
import { createConnection } from "../src/connection/connection.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  tenantId = (await stores.tenants.defaultTenant()).id;
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

/** Inserts jobs of the tenant with plain SQL, which is faster than the store. */
async function insertMany(count: number): Promise<void> {
  await client.query("INSERT INTO workflows (hash, graph) VALUES ('h', '{}') ON CONFLICT DO NOTHING");
  await client.query(
    `WITH job AS (
       INSERT INTO jobs (id, tenant_id, type, status, phase, rank, timeout_ms)
       SELECT gen_random_uuid(), $1, 'image', 'queued', 'waiting', i, 1000 FROM generate_series(1, $2) i
       RETURNING id, rank)
     INSERT INTO job_parameters (job_id, parameters, prompt_text, workflow_hash, uploads_noted)
     SELECT id, '{}', '1girl, cherry blossoms, soft light, detailed background, masterpiece ' || rank, 'h', true FROM job`,
    [tenantId, count],
  );
  await client.query("VACUUM ANALYZE jobs");
  await client.query("VACUUM ANALYZE job_parameters");
}

test("a rare text is found by its index among many prompts", async () => {
  await insertMany(50_000);
  const [job] = await stores.jobRequests.insertJobs({
    ...{ tenantId, batch: null, jobs: [buildJob({ prompt: "a dragon over 桜の木" })] },
  });
  for (const text of ["DRAGON", "桜の木"]) {
    expect(
      (await stores.jobReader.of(tenantId).listJobs({ text, limit: 10 })).items.map(({ id }) => id),
    ).toEqual([job!.id]);
  }
  const statement = listStatement(tenantId, { text: "dragon", limit: 50 })!;
  const { rows } = await client.query<{ "QUERY PLAN": string }>(
    `EXPLAIN ${statement.text}`,
    statement.values,
  );
  expect(rows.map((row) => row["QUERY PLAN"]).join("\n")).toContain("job_parameters_prompt_text_idx");
}, 180_000);

test("a search that takes too long is refused with advice, and is no outage", async () => {
  const connection = createConnection({ databaseUrl: stores.url });
  try {
    await client.query("BEGIN");
    await client.query("LOCK TABLE job_parameters IN ACCESS EXCLUSIVE MODE");
    const startedAt = performance.now();
    const found = listJobs(connection.client, tenantId, { text: "cherry", limit: 10 }, 100);
    await expect(found).rejects.toMatchObject({ problems: [{ path: "text", code: "search-too-broad" }] });
    // Other statements may take ten seconds.
    expect(performance.now() - startedAt).toBeLessThan(8_000);
  } finally {
    await client.query("ROLLBACK");
    await connection.close();
  }
});

test("many slow searches of one tenant leave connections for other requests", async () => {
  const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] });
  await client.query("BEGIN");
  let searches: Promise<unknown>[];
  try {
    await client.query("LOCK TABLE job_parameters IN ACCESS EXCLUSIVE MODE");
    let searchesEnded = 0;
    searches = Array.from({ length: 12 }, () =>
      stores.jobReader
        .of(tenantId)
        .listJobs({ text: "cherry", limit: 10 })
        .catch((error: unknown) => error)
        .then((end) => {
          if (!(end instanceof StoreUnavailableError)) searchesEnded += 1;
          return end;
        }),
    );
    // Each search has now requested a connection, or waits for its turn.
    await setImmediate();
    expect(await stores.jobRuns.findJob(job!.id)).toMatchObject({ id: job!.id });
    expect(searchesEnded).toBe(0);
  } finally {
    await client.query("ROLLBACK");
  }
  const ends = await Promise.all(searches);
  const refused = ends.filter((end) => end instanceof StoreUnavailableError);
  expect(refused.map((error) => error.fault)).toEqual(Array.from({ length: 6 }, () => "busy"));
  expect(ends.filter((end) => !(end instanceof Error))).toHaveLength(6);
});
