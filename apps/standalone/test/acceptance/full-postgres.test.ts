import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import pg from "pg";

// Genga connects as a role that may have only so many connections, as a server with max_connections does for all.

/** The pools of the API and of the worker, each at its largest, and a few more that the test takes. */
const connectionsMax = 40;

let database: TestDatabase;
let admin: pg.Client;
let role: string;
let url: string;
let stack: Stack;
let api: ApiClient;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  const given = new URL(database.url);
  role = `limited_${given.pathname.slice(1)}`;
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'limited' CONNECTION LIMIT ${connectionsMax}`);
  for (const things of ["TABLES", "SEQUENCES"])
    await admin.query(`GRANT ALL ON ALL ${things} IN SCHEMA public TO ${role}`);
  [given.username, given.password] = [role, "limited"];
  url = given.href;
  stack = await startStack({ databaseUrl: url, env: { LEASE_MS: "1500" } });
  api = new ApiClient(stack.url);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await admin.query(`DROP OWNED BY ${role}`);
  await admin.query(`DROP ROLE ${role}`);
  await admin.end();
  await database.drop();
}, 180_000);

/** Takes every connection that is left, and those that others let go, until it is told to stop. */
function takeConnections(): { taken: () => number; end: () => Promise<void> } {
  const clients: pg.Client[] = [];
  const over = new AbortController();
  const taking = (async () => {
    while (!over.signal.aborted) {
      const client = new pg.Client({ connectionString: url });
      client.on("error", () => undefined);
      try {
        await client.connect();
        clients.push(client);
      } catch (error) {
        expect(error).toMatchObject({ code: "53300" });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  })();
  const end = async (): Promise<void> => {
    over.abort();
    await taking;
    await Promise.all(clients.map((client) => client.end()));
  };
  return { taken: () => clients.length, end };
}

const image = { type: "image", prompt: "a heron", width: 256, height: 256, steps: 1 };

test("without free connections the API serves requests or answers 503, and no lease is lost", async () => {
  const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(6) });
  await api.until(id, (job) => job.phase === "executing");
  const others = takeConnections();
  while (others.taken() < 5) await new Promise((resolve) => setTimeout(resolve, 20));
  const answers: Response[] = [];
  const accepted: string[] = [];
  try {
    // For three leases: many more requests at a time than there are connections.
    const until = performance.now() + 4_500;
    while (performance.now() < until) {
      const requests = Array.from({ length: 30 }, (_, index) =>
        index % 15 === 0 ? api.request("POST", "generate", image) : api.request("GET", `job/${id}`),
      );
      for (const answer of await Promise.all(requests)) {
        answers.push(answer);
        if (answer.status === 202) accepted.push(((await answer.json()) as { id: string }).id);
        else await answer.body?.cancel();
      }
    }
  } finally {
    await others.end();
  }
  expect(others.taken()).toBeGreaterThan(0);
  expect(
    [...new Set(answers.map(({ status }) => status))].filter((status) => ![200, 202, 503].includes(status)),
  ).toEqual([]);
  for (const answer of answers)
    if (answer.status === 503) expect(answer.headers.get("retry-after")).not.toBeNull();
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
  const { rows } = await admin.query<{ types: string[] }>(
    "SELECT array_agg(type ORDER BY sequence) AS types FROM job_events WHERE job_id = $1",
    [id],
  );
  expect(rows[0]?.types.filter((type) => ["claimed", "adopted", "requeued"].includes(type))).toEqual([
    "claimed",
  ]);
  for (const job of accepted.slice(-3)) expect((await api.untilEnded(job)).status).toBe("completed");
  expect((await api.untilEnded(await api.submit(image))).status).toBe("completed");
}, 180_000);

test("requests beyond the pool are answered 503 when no connection comes free, and work again by themselves", async () => {
  await api.untilEnded(await api.submit(image));
  await admin.query("BEGIN");
  await admin.query("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE");
  // The first ten wait for the lock on the API's ten connections, the others for a connection. (Looks at single jobs that
  // come in the same moment would share a statement, and with it a connection.) The API itself may be reading something.
  const waiting = Array.from({ length: 30 }, () => api.request("GET", "jobs?limit=1"));
  let refused = 0;
  const enough = new Promise<void>((resolve) => {
    for (const answer of waiting)
      void answer.then(() => {
        refused += 1;
        if (refused === 20) resolve();
      });
  });
  await enough;
  await admin.query("ROLLBACK");
  const answers = await Promise.all(waiting);
  const statuses = answers.map(({ status }) => status);
  const succeeded = statuses.filter((status) => status === 200).length;
  expect(succeeded).toBeGreaterThanOrEqual(8);
  expect(succeeded).toBeLessThanOrEqual(10);
  expect(statuses.filter((status) => status === 503)).toHaveLength(30 - succeeded);
  for (const answer of answers) {
    if (answer.status === 503) expect(answer.headers.get("retry-after")).toBe("2");
    await answer.body?.cancel();
  }
  expect((await api.untilEnded(await api.submit(image))).status).toBe("completed");
}, 180_000);
