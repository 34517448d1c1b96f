import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  startStack,
  startTcpProxy,
  type Stack,
  type TcpProxy,
  type TestDatabase,
} from "@genga/testing";
import pg from "pg";

// The connection to Postgres breaks after a commit and before its answer: the API must find out what happened.

let database: TestDatabase;
let postgres: TcpProxy;
let stack: Stack;
let api: ApiClient;
let observer: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  postgres = await startTcpProxy({ targetUrl: database.url });
  stack = await startStack({ databaseUrl: postgres.url, workers: 0 });
  api = new ApiClient(stack.url);
  observer = new pg.Client({ connectionString: database.url });
  await observer.connect();
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await observer.end();
  await postgres.close();
  await database.drop();
}, 180_000);

/** Breaks the connection on which `statement` passes before its answer does, once; resolves when it broke. */
function loseAnswerOf(statement: RegExp): Promise<void> {
  return new Promise((resolve) => {
    let awaited: number | null = null;
    const stop = postgres.observe(({ direction, data, connection }) => {
      if (direction === "to-target" && awaited === null && statement.test(data.toString("latin1"))) {
        awaited = connection.id;
      } else if (direction === "to-client" && connection.id === awaited) {
        stop();
        connection.reset();
        resolve();
      }
    });
  });
}

/** Statements that read jobs, from now on. */
function countLooks(): () => number {
  let looks = 0;
  const stop = postgres.observe(({ direction, data }) => {
    if (direction === "to-target")
      looks += data.toString("latin1").match(/SELECT[^]{0,2000}?\bjobs\b/g)?.length ?? 0;
  });
  return () => {
    stop();
    return looks;
  };
}

test("a first submission that got no answer while its tenant's queue was counted is refused, and nothing was changed", async () => {
  const lost = loseAnswerOf(/COMMIT/);
  const submitted = api.request("POST", "generate", { type: "image", prompt: "a heron" });
  await lost;
  const answer = await submitted;
  expect([answer.status, await answer.json()]).toMatchObject([
    503,
    { detail: expect.stringContaining("Nothing was changed") },
  ]);
  expect((await observer.query("SELECT FROM jobs")).rows).toEqual([]);
  await api.submit({ type: "image", prompt: "a heron" });
});

test("a batch of 10,000 whose commit got no answer is accepted with its ids, found by a statement and not by thousands", async () => {
  const jobs = Array.from({ length: 10_000 }, (_, index) => ({
    ...{ type: "image", prompt: "a heron", seed: index, tags: [`number ${index}`] },
  }));
  const lost = loseAnswerOf(/COMMIT/);
  const submitted = api.submitBatch(jobs);
  await lost;
  const looks = countLooks();
  const { id, jobIds } = await submitted;
  expect(looks()).toBeLessThan(10);
  expect(new Set(jobIds).size).toBe(10_000);
  expect(await api.batch(id)).toMatchObject({ total: 10_000, counts: { queued: 10_000 } });
  for (const index of [0, 4_999, 9_999]) {
    expect(await api.job(jobIds[index]!)).toMatchObject({ status: "queued", tags: [`number ${index}`] });
  }
}, 180_000);

test("a cancel, a retry and a removal whose answers were lost are done once, and answered as done", async () => {
  const id = await api.submit({ type: "image", prompt: "a heron" });
  const typesOf = async (): Promise<string[]> => {
    const { rows } = await observer.query<{ type: string }>(
      "SELECT type FROM job_events WHERE job_id = $1 ORDER BY sequence",
      [id],
    );
    return rows.map(({ type }) => type);
  };
  const lose = async (statement: RegExp, method: string, path: string): Promise<Response> => {
    const lost = loseAnswerOf(statement);
    const answered = api.request(method, path);
    await lost;
    return answered;
  };
  const cancelled = await lose(/UPDATE jobs SET status = 'cancelled'/, "POST", `jobs/${id}/cancel`);
  expect([cancelled.status, await cancelled.json()]).toMatchObject([202, { status: "cancelled" }]);
  const retried = await lose(/'retry_requested'/, "POST", `jobs/${id}/retry`);
  expect([retried.status, await retried.json()]).toMatchObject([202, { status: "queued" }]);
  expect(await typesOf()).toEqual(["accepted", "cancelled", "retry_requested"]);

  expect(await api.cancel(id)).toBe(202);
  expect(await api.cancel(id)).toBe(409);
  const removed = await lose(/COMMIT/, "DELETE", `jobs/${id}`);
  expect(removed.status).toBe(204);
  expect((await api.request("GET", `job/${id}`)).status).toBe(410);
  expect((await api.request("DELETE", `jobs/${id}`)).status).toBe(410);
}, 180_000);

test("a batch whose cancellation got no answer is cancelled, and answered as cancelled", async () => {
  const { id } = await api.submitBatch([
    { type: "image", prompt: "a heron" },
    { type: "image", prompt: "a crane" },
  ]);
  const lost = loseAnswerOf(/UPDATE jobs SET status = 'cancelled'/);
  const answered = api.request("POST", `batches/${id}/cancel`);
  await lost;
  const answer = await answered;
  expect([answer.status, await answer.json()]).toMatchObject([202, { cancelled: 2, requested: 0 }]);
  expect((await api.batch(id)).counts).toMatchObject({ cancelled: 2 });
}, 180_000);
