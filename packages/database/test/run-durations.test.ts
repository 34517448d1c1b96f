import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type DurationSample } from "@genga/jobs";
import { createTestDatabase } from "@genga/testing";
import { migrate, openDatabase, type Database } from "@genga/database";
import { PrismaRunDurations } from "../src/durations/prisma-run-durations.ts";
import { createConnection, type Connection } from "../src/connection/connection.ts";

let scratch: Awaited<ReturnType<typeof createTestDatabase>>;
let database: Database;
let connection: Connection;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  connection = createConnection({ databaseUrl: scratch.url });
});

afterAll(async () => {
  await Promise.all([database.close(), connection.close()]);
  await scratch.drop();
});

function sampleOf(key: string, sample: number, ms = 1): DurationSample {
  return { key, sample, nodes: { sampler: { ms, perStep: true } } };
}

test("nothing is known before anything was measured", async () => {
  const { runDurations } = database;
  expect(await runDurations.findDurations(["a", "b"])).toEqual([]);
  expect(await runDurations.readEstimateError()).toEqual({ medianError: null, runs: 0 });
});

test("measurements are kept in their order, and those of several workers at once are all there", async () => {
  const { runDurations } = database;
  await runDurations.addDurations([sampleOf("a", 1), sampleOf("b", 5), sampleOf("a", 2, 5)], []);
  const [row] = await runDurations.findDurations(["a"]);
  expect(row).toEqual({ key: "a", samples: [1, 2], nodes: { sampler: { ms: 2, perStep: true } } });
  // In opposite orders, so that they would deadlock if rows were locked in the order in which they are given.
  const keys = ["c", "d", "e", "f", "g"];
  await Promise.all(
    Array.from({ length: 6 }, (_unused, writer) =>
      runDurations.addDurations(
        (writer % 2 === 0 ? keys : keys.toReversed()).map((key) => sampleOf(key, writer)),
        [],
      ),
    ),
  );
  const rows = await runDurations.findDurations(keys);
  for (const { samples } of rows) expect(samples.toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(rows).toHaveLength(keys.length);
});

test("the median of the latest errors", async () => {
  const { runDurations } = database;
  await runDurations.addDurations([], [0.1, 5, 0.2]);
  expect(await runDurations.readEstimateError()).toEqual({ medianError: 0.2, runs: 3 });
});

test("what no run has had for the longest time is forgotten beyond the bounds", async () => {
  await database.runDurations.addDurations([sampleOf("old", 1)], []);
  await connection.client
    .$executeRaw`UPDATE run_durations SET used_at = now() - interval '1 day' WHERE key <> 'g'`;
  const bounded = new PrismaRunDurations(connection.client, { rowsMax: 3 });
  await bounded.addDurations([sampleOf("new", 1), sampleOf("newer", 1)], Array<number>(600).fill(1));
  const rows = await connection.client.runDuration.findMany({ orderBy: { key: "asc" } });
  expect(rows.map(({ key }) => key)).toEqual(["g", "new", "newer"]);
  expect(await bounded.readEstimateError()).toEqual({ medianError: 1, runs: 500 });
  expect(await connection.client.estimateError.count()).toBe(500);
});
