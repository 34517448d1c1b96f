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

// The connection to Postgres breaks after a commit and before its answer: the API must find out what happened.

let database: TestDatabase;
let postgres: TcpProxy;
let stack: Stack;
let api: ApiClient;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  postgres = await startTcpProxy({ targetUrl: database.url });
  stack = await startStack({ databaseUrl: postgres.url, workers: 0 });
  api = new ApiClient(stack.url);
}, 60_000);

afterAll(async () => {
  await stack.stop();
  await postgres.close();
  await database.drop();
}, 30_000);

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
}, 60_000);
