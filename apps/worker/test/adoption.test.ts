import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { startStack, startTcpProxy, type Stack, type TcpProxy, type TestDatabase } from "@genga/testing";
import { createMigratedDatabase } from "./support/test-stack.ts";

let database: TestDatabase;
let postgres: TcpProxy;
let stack: Stack;

beforeAll(async () => {
  database = await createMigratedDatabase();
  postgres = await startTcpProxy({ targetUrl: database.url });
  stack = await startStack({ databaseUrl: postgres.url, simulators: 4, apis: 0 });
}, 180_000);
afterAll(async () => {
  await stack.stop();
  await postgres.close();
  await database.drop();
}, 180_000);

/** A server that becomes ready is asked for by itself: at most so many statements name fewer than all. */
const statementsMax = 16;

test("a worker looks for jobs to adopt on all of its servers in one statement a pass", async () => {
  await Promise.all(
    stack.simulators.map(({ url }) => stack.workers[0]!.line(new RegExp(`"server":"${url}".*takes work`))),
  );
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query<{ id: string }>("SELECT id FROM servers");
  await client.end();
  expect(rows).toHaveLength(4);
  const named: number[] = [];
  await new Promise<void>((resolve) => {
    const stop = postgres.observe(({ direction, data }) => {
      const text = data.toString("latin1");
      if (direction === "to-client" || !text.includes("'adopted'")) return;
      named.push(rows.filter(({ id }) => text.includes(id)).length);
      if (named.filter((count) => count === 4).length < 3 && named.length < statementsMax) return;
      stop();
      resolve();
    });
  });
  expect(named.slice(-3)).toEqual([4, 4, 4]);
}, 180_000);
