import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { startServiceProcess, startTcpProxy, type ServiceProcess, type TcpProxy } from "@genga/testing";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let postgres: TcpProxy;

beforeAll(async () => {
  api = await startApiUnderTest();
  postgres = await startTcpProxy({ targetUrl: api.env["DATABASE_URL"] ?? "" });
}, 60_000);
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
  60_000,
);
