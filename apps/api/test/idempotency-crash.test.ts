import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { startServiceProcess, startTcpProxy, type ServiceProcess, type TcpProxy } from "@genga/testing";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let postgres: TcpProxy;

beforeAll(async () => {
  api = await startApiUnderTest();
  postgres = await startTcpProxy({ targetUrl: api.env["DATABASE_URL"] ?? "" });
}, 180_000);
afterAll(async () => {
  await postgres.close();
  await api.stop();
});

/** Resolves when jobs were committed over the proxy, and holds back the answer to that commit for ever. */
function holdAnswerToCommit(): Promise<void> {
  return new Promise((resolve) => {
    const inserting = new Set<number>();
    const committing = new Set<number>();
    const stop = postgres.observe(({ direction, data, connection }) => {
      const text = data.toString("latin1");
      if (direction === "to-target") {
        if (text.includes("INSERT INTO jobs")) inserting.add(connection.id);
        if (text.includes("COMMIT") && inserting.has(connection.id)) committing.add(connection.id);
      } else if (committing.has(connection.id)) {
        connection.hold();
        stop();
        resolve();
      }
    });
  });
}

/** Resolves when a statement with this text is on its way to the database, and holds it back for ever. */
function holdStatement(part: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = postgres.observe(({ direction, data, connection }) => {
      if (direction !== "to-target" || !data.includes(part)) return;
      connection.hold();
      stop();
      resolve();
    });
  });
}

function statementPassed(part: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = postgres.observe(({ direction, data }) => {
      if (direction !== "to-target" || !data.includes(part)) return;
      stop();
      resolve();
    });
  });
}

/** Repeats a request as its answer says: after the time of Retry-After. */
async function untilAnswered(path: string, request: RequestInit): Promise<Response> {
  for (;;) {
    const response = await api.request(path, request);
    if (response.status !== 409) return response;
    await sleep(1_000 * Number(response.headers.get("retry-after")));
  }
}

test.each([
  ["before its transaction", "INSERT INTO tenant_queues"],
  ["within its transaction", "INSERT INTO jobs"],
])(
  "a key of an API that was killed %s is free again after seconds",
  async (_when, statement) => {
    const env = { ...api.env, DATABASE_URL: postgres.url };
    const killed: ServiceProcess = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    const project = randomUUID();
    const body = { type: "image", prompt: "a quiet street", width: 512, height: 512, project };
    const headers = { "content-type": "application/json", "idempotency-key": randomUUID() };
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    const held = holdStatement(statement);
    const lost = fetch(`${String(killed.details["url"])}/api/anime/generate`, request).catch(() => "lost");
    await held;
    // The request keeps its key for as long as its process lives.
    await statementPassed("UPDATE idempotency_keys kept SET claimed_until");
    expect((await api.request("generate", request)).status).toBe(409);
    killed.signal("SIGKILL");
    expect([await killed.exited, await lost]).toEqual(["SIGKILL", "lost"]);

    const again = await untilAnswered("generate", request);
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([202, null]);
    const { jobs } = (await (await api.request(`jobs?project=${project}`)).json()) as { jobs: unknown[] };
    expect(jobs).toHaveLength(1);
  },
  180_000,
);

test.each([
  ["a job", "generate", (job: object): object => job],
  ["a batch", "batches", (job: object): object => ({ jobs: [job, job] })],
])(
  "%s that was committed by an API which was killed before it answered is not accepted again",
  async (_what, path, bodyOf) => {
    const env = { ...api.env, DATABASE_URL: postgres.url };
    const killed: ServiceProcess = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    const project = randomUUID();
    const body = bodyOf({ type: "image", prompt: "a quiet street", width: 512, height: 512, project });
    const headers = { "content-type": "application/json", "idempotency-key": randomUUID() };
    const committed = holdAnswerToCommit();
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    const answered = fetch(`${String(killed.details["url"])}/api/anime/${path}`, request);
    const lost = answered.then(
      () => "answered",
      () => "lost",
    );
    await committed;
    killed.signal("SIGKILL");
    expect([await killed.exited, await lost]).toEqual(["SIGKILL", "lost"]);

    const jobsOf = async (): Promise<{ id: string }[]> => {
      const { jobs } = (await (await api.request(`jobs?project=${project}`)).json()) as {
        jobs: { id: string }[];
      };
      return jobs;
    };
    const before = await jobsOf();
    const again = await api.request(path, request);
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([202, "true"]);
    expect(before.length).toBeGreaterThan(0);
    expect(await jobsOf()).toEqual(before);
  },
  180_000,
);
