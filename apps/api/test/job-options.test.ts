import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { jobDetailSchema, type JobDetail } from "../src/jobs/job-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let client: pg.Client;
beforeAll(async () => {
  api = await startApiUnderTest();
  client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(async () => {
  await client.end();
  await api.stop();
});

const minutes = (count: number): string => new Date(Date.now() + count * 60_000).toISOString();
const image = (more: object = {}): object => ({ type: "image", prompt: "x", ...more });

async function submitBatch(body: object): Promise<string[]> {
  const response = await api.post("batches", body);
  const accepted = (await response.json()) as { jobs: { id: string }[] };
  expect({ status: response.status, accepted }).toMatchObject({ status: 202 });
  return accepted.jobs.map(({ id }) => id);
}
async function read(id: string): Promise<JobDetail> {
  return jobDetailSchema.parse(await (await api.request(`jobs/${id}`)).json());
}

describe("the labels of a job", () => {
  test("are the batch's, unless the job has its own, and each finds it in the list", async () => {
    const ids = await submitBatch({
      ...{ project: "opening", scene: "harbour", shot: "h-1", tags: ["night"], priority: "low" },
      jobs: [image(), image({ shot: "h-2", tags: [], priority: "high" })],
    });
    const [first, second] = await Promise.all(ids.map(read));
    const ofBatch = { project: "opening", scene: "harbour" };
    expect(first).toMatchObject({ ...ofBatch, shot: "h-1", tags: ["night"], priority: "low" });
    expect(second).toMatchObject({ ...ofBatch, shot: "h-2", tags: [], priority: "high" });
    const found = async (query: string): Promise<string[]> => {
      const { jobs } = (await (await api.request(`jobs?${query}`)).json()) as { jobs: { id: string }[] };
      return jobs.map(({ id }) => id);
    };
    expect(await found("scene=harbour")).toEqual(ids.toReversed());
    expect(await found("scene=harbour&shot=h-1")).toEqual([ids[0]]);
    expect(await found("shot=h-2&project=opening")).toEqual([ids[1]]);
    expect(await found("scene=pier")).toEqual([]);
  });
});

describe("runAt", () => {
  test("is shown as what the job waits for, and the job has no ticket until then", async () => {
    const runAt = minutes(10);
    const [later, now] = await submitBatch({ jobs: [image({ runAt }), image()] });
    expect(await read(later!)).toMatchObject({ runAt, waitingFor: { code: "run-at", until: runAt } });
    for (;;) {
      const job = await api.database.jobRuns.findJob(now!);
      if (job !== null && job !== "removed" && job.enqueuedAt !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await api.database.jobRuns.findJob(later!)).toMatchObject({ enqueuedAt: null });
    const announced = async (): Promise<string[]> =>
      (await api.database.jobAnnouncer.listUnannounced(1_000)).map(({ jobId }) => jobId);
    expect(await announced()).not.toContain(later);
    await client.query("UPDATE jobs SET run_at = now() WHERE id = $1", [later]);
    expect(await announced()).toContain(later);
  });

  test("is refused when it is not before expiresAt, wherever the two stand", async () => {
    const [early, late] = [minutes(5), minutes(6)];
    const refused = async (path: string, body: object): Promise<string[]> => {
      const response = await api.post(path, body);
      const { problems = [] } = (await response.json()) as { problems?: { path: string }[] };
      expect(response.status).toBe(422);
      return problems.map((problem) => problem.path);
    };
    expect(await refused("generate", image({ runAt: late, expiresAt: early }))).toEqual(["runAt"]);
    expect(await refused("batches", { runAt: late, expiresAt: early, jobs: [image()] })).toEqual(["runAt"]);
    const mixed = { runAt: late, jobs: [image(), image({ expiresAt: early }), image({ runAt: early })] };
    expect(await refused("batches", mixed)).toEqual(["jobs.1.runAt"]);
    expect(await refused("batches", { ...mixed, runAt: "tonight" })).toEqual(["runAt"]);
  });
});

describe("a moment", () => {
  const refusals = async (response: Response): Promise<unknown> => {
    const { code, problems = [] } = (await response.json()) as {
      code: string;
      problems?: { path: string }[];
    };
    return [response.status, code, problems.map((problem) => problem.path)];
  };
  test.each<[string, string]>([
    ["runAt", "0000-06-01T00:00:00Z"],
    ["runAt", "0001-01-01T00:00:00+00:01"],
    ["runAt", "9999-12-31T23:59:59-01:00"],
    ["expiresAt", "9999-12-31T23:59:59-01:00"],
  ])("of %s is refused where its year has no four digits in UTC: %s", async (field, text) => {
    const refused = [422, "out-of-bounds", [field]];
    expect(await refusals(await api.post("generate", image({ [field]: text })))).toEqual(refused);
    const query = new URLSearchParams({ [field]: text }).toString();
    expect(await refusals(await api.post(`batches?${query}`, { jobs: [image()] }))).toEqual(refused);
  });

  test("may be the first and the last one of these years", async () => {
    const [runAt, expiresAt] = ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"];
    const [id] = await submitBatch({ jobs: [image({ runAt, expiresAt })] });
    expect(await read(id!)).toMatchObject({ runAt, expiresAt });
  });
});
