import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { jobDetailSchema, type JobDetail } from "../src/jobs/job-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

async function submit(body: Record<string, unknown> = {}): Promise<string> {
  const response = await api.post("generate", { type: "image", prompt: "a cat", ...body });
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}

async function look(id: string): Promise<JobDetail> {
  const response = await api.request(`jobs/${id}`);
  expect(response.status).toBe(200);
  return jobDetailSchema.strict().parse(await response.json());
}

async function codeOf(response: Response): Promise<[number, string]> {
  return [response.status, ((await response.json()) as { code: string }).code];
}

const failure = {
  class: "execution",
  code: "node-failed",
  message: "It raised.",
  nodeId: "5",
  nodeType: "KSampler",
} as const;

test("the whole life of a job can be seen", async () => {
  const id = await submit({ priority: "urgent" });
  expect(await look(id)).toMatchObject({
    status: "queued",
    phase: "waiting",
    attempt: 0,
    outputs: [],
    server: null,
  });

  const leased = await api.worker.claim(id, serverId);
  expect(await look(id)).toMatchObject({
    status: "processing",
    attempt: 1,
    server: { id: serverId, url: "http://comfyui.test:8188" },
    waitingFor: null,
  });

  await api.worker.report(leased, "executing", {
    percent: 40,
    node: "5",
    nodeTitle: "Sample",
    step: 8,
    steps: 20,
  });
  const running = await look(id);
  expect(running).toMatchObject({
    phase: "executing",
    progress: { percent: 40, nodeTitle: "Sample", step: 8, steps: 20 },
  });
  expect(running.startedAt).not.toBeNull();

  await api.worker.complete(leased, [{ filename: "a.txt", body: Buffer.from("not really a picture") }]);
  const done = await look(id);
  expect(done).toMatchObject({ status: "completed", phase: null, failure: null });
  expect(done.outputs).toHaveLength(1);
  expect(done.outputs[0]).toMatchObject({ filename: "a.txt", bytes: 20, index: 0, nodeId: "7" });
  expect(done.finishedAt).not.toBeNull();
  expect(Object.keys(done.links)).not.toContain("cancel");
});

test("a failed job says why, where, and can be tried again", async () => {
  const id = await submit();
  await api.worker.end(await api.worker.claim(id, serverId), { kind: "failed", failure });
  const failed = await look(id);
  expect(failed).toMatchObject({ status: "failed", failure });
  const retried = await api.request(failed.links["retry"]!, { method: "POST" });
  expect(retried.status).toBe(202);
  expect(await retried.json()).toMatchObject({ id, status: "queued" });
  expect(await codeOf(await api.request(`jobs/${id}/retry`, { method: "POST" }))).toEqual([
    409,
    "illegal-transition",
  ]);
});

describe("the reason why a queued job waits", () => {
  test("is the jobs before it", async () => {
    const ids = [await submit({ priority: "low" }), await submit({ priority: "low" })];
    const [first, second] = await Promise.all(ids.map(look));
    expect(second!.waitingFor).toMatchObject({
      code: "behind-others",
      jobsBefore: first!.waitingFor!.jobsBefore + 1,
    });
  });

  test("is a missing server, a missing node, its turn in the queue, an unreachable server, or a backoff", async () => {
    const own = await startApiUnderTest();
    try {
      const { id } = (await (await own.post("generate", { type: "image", prompt: "x" })).json()) as {
        id: string;
      };
      const waiting = async (): Promise<JobDetail["waitingFor"]> =>
        jobDetailSchema.parse(await (await own.request(`jobs/${id}`)).json()).waitingFor;
      expect(await waiting()).toMatchObject({ code: "no-server" });

      const poor = await recordedDefinitions("core");
      delete poor["KSampler"];
      const onlyServer = await own.worker.registerServer("http://comfyui.test:8188", poor);
      // Answers about servers may be a moment old.
      const until = async (code: string): Promise<JobDetail["waitingFor"]> => {
        for (;;) {
          const reason = await waiting();
          if (reason?.code === code) return reason;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      };
      expect(await until("no-server-can-run-it")).toMatchObject({ missing: ["the node KSampler"] });
      await own.worker.setDefinitions(onlyServer, await recordedDefinitions("core"));
      expect(await until("next")).toMatchObject({ jobsBefore: 0 });
      await own.worker.setState(onlyServer, "unreachable", "connection refused");
      expect((await until("no-server-online"))?.message).toContain("http://comfyui.test:8188 is unreachable");

      await own.worker.setState(onlyServer, "online", null);
      await own.worker.end(await own.worker.claim(id, onlyServer), {
        kind: "requeue",
        failure: { ...failure, class: "server" },
        delayMs: 60_000,
        charged: false,
        avoidServer: false,
      });
      const reason = await until("backoff");
      expect(Date.parse(reason!.until!)).toBeGreaterThan(Date.now() + 50_000);
    } finally {
      await own.stop();
    }
  });
});

describe("cancelling", () => {
  test("ends a queued job at once, and is refused once it has ended", async () => {
    const id = await submit();
    const response = await api.request(`jobs/${id}/cancel`, { method: "POST" });
    expect([response.status, ((await response.json()) as JobDetail).status]).toEqual([202, "cancelled"]);
    expect(await codeOf(await api.request(`jobs/${id}/cancel`, { method: "POST" }))).toEqual([
      409,
      "job-already-ended",
    ]);
  });

  test("asks the worker of a running job, and is done only once the worker reports it", async () => {
    const id = await submit();
    const leased = await api.worker.claim(id, serverId);
    const asked = new Promise<string[]>((resolve) => {
      void api.signals.subscribe("cancel", ({ jobIds }) => {
        resolve(jobIds);
      });
    });
    // The subscription is live once another on the same connection is.
    await api.signals.subscribe("cancel", () => undefined);
    const response = await api.request(`jobs/${id}/cancel`, { method: "POST" });
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({
      status: "processing",
      cancelRequestedAt: expect.any(String),
    });
    expect(await asked).toEqual([id]);
    await api.worker.end(leased, { kind: "cancelled" });
    expect(await look(id)).toMatchObject({ status: "cancelled" });
  });
});

test("an ended job can be removed with its files, and answers 410 from then on", async () => {
  const id = await submit();
  expect(await codeOf(await api.request(`jobs/${id}`, { method: "DELETE" }))).toEqual([409, "job-not-ended"]);
  await api.worker.complete(await api.worker.claim(id, serverId), [
    { filename: "a.bin", body: Buffer.from("bytes") },
  ]);
  const [output] = (await look(id)).outputs;
  expect((await api.request(output!.links.content)).status).toBe(200);
  const removed = await api.request(`jobs/${id}`, { method: "DELETE" });
  expect([removed.status, await removed.text()]).toEqual([204, ""]);
  for (const [path, method] of [
    ["", "GET"],
    ["/outputs", "GET"],
    ["/events", "GET"],
    ["/cancel", "POST"],
    ["", "DELETE"],
  ]) {
    expect(await codeOf(await api.request(`jobs/${id}${path!}`, { method: method! }))).toEqual([
      410,
      "job-removed",
    ]);
  }
  expect(await codeOf(await api.request(output!.links.content))).toEqual([404, "output-not-found"]);
});

test("a removal succeeds although the storage is unavailable, and the files are removed later", async () => {
  const id = await submit();
  await api.worker.complete(await api.worker.claim(id, serverId), [
    { filename: "a.bin", body: Buffer.from("bytes") },
  ]);
  const outputs = join(api.env["DATA_DIR"]!, "outputs");
  await rename(outputs, `${outputs}-away`);
  await writeFile(outputs, "no folder");
  try {
    expect((await api.request(`jobs/${id}`, { method: "DELETE" })).status).toBe(204);
  } finally {
    await rm(outputs);
    await rename(`${outputs}-away`, outputs);
  }
  expect(await codeOf(await api.request(`jobs/${id}`, { method: "DELETE" }))).toEqual([410, "job-removed"]);
  expect(await readdir(join(outputs, "jobs"))).toContain(id);
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    const { rows } = await client.query("SELECT job_id FROM pending_removals WHERE job_id = $1", [id]);
    expect(rows).toEqual([{ job_id: id }]);
  } finally {
    await client.end();
  }
});

test("unknown ids, and texts that are no ids, are not found", async () => {
  const ids = ["1", "x".repeat(3_000), "00000000-0000-7000-8000-000000000001", "%00", "..%2f..", "null"];
  for (const id of ids) {
    for (const path of [`job/${id}`, `jobs/${id}/outputs`, `jobs/${id}/parameters`, `jobs/${id}/events`]) {
      expect(await codeOf(await api.request(path))).toEqual([404, "job-not-found"]);
    }
  }
  expect(await codeOf(await api.request("jobs/%E0%A4%A"))).toEqual([404, "path-not-found"]);
});

describe("the list of jobs", () => {
  let ids: string[];
  beforeAll(async () => {
    ids = [];
    for (let index = 0; index < 5; index += 1) {
      ids.push(
        await submit({
          project: "listed",
          tags: index % 2 === 0 ? ["even"] : ["odd"],
          prompt: `Dragon ${index}`,
        }),
      );
    }
    await api.request(`jobs/${ids[0]!}/cancel`, { method: "POST" });
  });

  const list = async (query: string): Promise<string[]> => {
    const response = await api.request(`jobs?${query}`);
    const body = (await response.json()) as { jobs: { id: string }[] };
    expect({ status: response.status, body }).toMatchObject({ status: 200 });
    return body.jobs.map(({ id }) => id);
  };

  test("is sorted newest first, and filtered by the query", async () => {
    const newestFirst = ids.toReversed();
    expect(await list("project=listed")).toEqual(newestFirst);
    expect(await list("project=listed&status=cancelled")).toEqual([ids[0]]);
    expect(await list("project=listed&status=queued,cancelled")).toEqual(newestFirst);
    expect(await list("project=listed&status=queued&status=cancelled")).toEqual(newestFirst);
    expect(await list("project=listed&tag=odd")).toEqual([ids[3], ids[1]]);
    expect(await list("text=dragon%203")).toEqual([ids[3]]);
    expect(await list("project=listed&type=video")).toEqual([]);
  });

  test("comes in pages that neither skip nor repeat a job", async () => {
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const response: Response = await api.request(
        `jobs?project=listed&limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`,
      );
      const page = (await response.json()) as { jobs: { id: string }[]; nextCursor: string | null };
      seen.push(...page.jobs.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(ids.toReversed());
  });

  test.each([
    ["limit=0", "limit", "out-of-bounds"],
    ["limit=x", "limit", "invalid-field"],
    ["status=done", "status.0", "invalid-field"],
    ["batch=7", "batch", "invalid-field"],
    ["cursor=nonsense", "cursor", "invalid-field"],
    ["color=red", "color", "unknown-field"],
    ["text=%00", "text", "out-of-bounds"],
  ])("refuses %s", async (query, path, code) => {
    const response = await api.request(`jobs?${query}`);
    expect(await response.json()).toMatchObject({ status: 422, code, problems: [{ path }] });
  });
});

test("the queue and the servers can be seen", async () => {
  expect(await (await api.request("queue")).json()).toMatchObject({
    counts: { queued: expect.any(Number) },
    lanes: expect.arrayContaining([
      expect.objectContaining({ lane: expect.stringMatching(/^counterfeit_v3-[0-9a-f]{12}$/) }),
    ]),
    servers: { total: 1, online: 1, slots: 2 },
  });
  expect(await (await api.request("servers")).json()).toMatchObject({
    servers: [
      {
        ...{ id: serverId, url: "http://comfyui.test:8188", state: "online", isKnown: true },
        ...{ version: "0.28.0", abilities: { cancelsById: true, replacesNodes: true, hasAssets: false } },
      },
    ],
  });
});
