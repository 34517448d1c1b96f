import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { get as requestOf } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { openDatabase } from "@genga/database";
import {
  EventFeed,
  StoreUnavailableError,
  type Job,
  type JobEvent,
  type JobFailure,
  type Principal,
} from "@genga/jobs";
import pg from "pg";
import sharp from "sharp";
import { Sight } from "../src/access/sight.ts";
import { ComfyJobStream } from "../src/comfy-api/comfy-job-stream.ts";
import { viewOfComfyJob } from "../src/comfy-api/comfy-job-view.ts";
import { ComfyJobs } from "../src/comfy-api/comfy-jobs.ts";
import { viewOfEvent } from "../src/jobs/job-view.ts";
import { watchJob } from "../src/jobs/watch-job.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// Jobs of the Comfy API v2: two tenants on one API, and a worker at the test's pace.

interface Output {
  id: string;
  node_id: string;
  name: string;
  type: string;
  url: string;
  size_bytes: number;
}
interface ComfyJob {
  id: string;
  status: string;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  expires_at: string;
  queue_position: number | null;
  progress: { value: number; nodes_done: number; nodes_total: number; message: string | null } | null;
  outputs: Output[];
  error: { code: string; message: string; node_id: string | null; traceback: string | null } | null;
  metrics: Record<string, number | null>;
  urls: Record<string, string>;
}
interface Envelope {
  error: {
    code: string;
    message: string;
    details?: {
      node_errors?: Record<string, { field: string | null; reason: string }[]>;
      problems?: object[];
    };
  };
}

let api: ApiUnderTest;
let serverId: string;
const own = { authorization: "Bearer key-of-studio" };
const other = { authorization: "Bearer key-of-atelier" };

beforeAll(async () => {
  api = await startApiUnderTest({
    env: {
      API_KEYS: "studio:key-of-studio,atelier:key-of-atelier,house:operate:key-that-operates",
      ...{ RETENTION_DAYS: "7", SECRETS_KEY: "k9vJ0m2Qe5yH7sW1xC4bN8tR3uL6pZ0aD2gF5jK7qM4=" },
    },
    times: { watch: { heartbeatMs: 15_000, lookMinMs: 50, lookMaxMs: 100 } },
  });
  serverId = await api.worker.registerServer("http://gpu-1", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

let colors = 0;
const graphOf = (image?: unknown): Record<string, unknown> => ({
  "1":
    image === undefined
      ? { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: (colors += 1) } }
      : { class_type: "LoadImage", inputs: { image } },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "made" } },
});
const post = (body: object, headers: Record<string, string> = own): Promise<Response> =>
  api.post("/api/v2/jobs", body, headers);
async function submit(workflow: object = graphOf(), more: object = {}): Promise<ComfyJob> {
  const answer = await post({ workflow, ...more });
  if (answer.status !== 201) throw new Error(await answer.text());
  return (await answer.json()) as ComfyJob;
}
const get = (path: string, headers: Record<string, string> = own): Promise<Response> =>
  api.request(`/api/v2/jobs/${path}`, { headers });
const jobOf = async (id: string): Promise<ComfyJob> => (await (await get(id)).json()) as ComfyJob;
const cancel = (id: string, headers: Record<string, string> = own): Promise<Response> =>
  api.request(`/api/v2/jobs/${id}/cancel`, { method: "POST", headers });
async function refusal(answer: Response): Promise<[number, string]> {
  return [answer.status, ((await answer.json()) as Envelope).error.code];
}
async function asset(): Promise<{ id: string; hash: string }> {
  colors += 1;
  const background = { r: colors, g: 5, b: 9 };
  const png = await sharp({ create: { width: 32, height: 32, channels: 3, background } })
    .png()
    .toBuffer();
  const form = new FormData();
  for (const [name, value] of [
    ["content_type", "image/png"],
    ["file_path", "photo.png"],
  ] as const)
    form.append(name, value);
  form.append("file", new Blob([new Uint8Array(png)]), "photo.png");
  const answer = await api.request("/api/v2/assets", { method: "POST", body: form, headers: own });
  return (await answer.json()) as { id: string; hash: string };
}
const reference = (id: unknown): object => ({
  __type: "core/ASSET",
  info: { id, hash: "blake3:hint", file_path: "x" },
});

describe("a job", () => {
  test("is submitted, runs and has its outputs, and is a job of our own API, too", async () => {
    const made = await submit();
    expect(made).toMatchObject({
      ...{ status: "queued", started_at: null, completed_at: null, progress: null, outputs: [], error: null },
      metrics: { queue_ms: null, execution_ms: null },
      urls: {
        self: `/api/v2/jobs/${made.id}`,
        events: `/api/v2/jobs/${made.id}/events`,
        cancel: `/api/v2/jobs/${made.id}/cancel`,
      },
    });
    expect(made.queue_position).toBeGreaterThanOrEqual(0);
    expect(Date.parse(made.expires_at) - Date.now()).toBeGreaterThan(6 * 86_400_000);
    const leased = await api.worker.claim(made.id, serverId);
    await api.worker.report(leased, "executing", {
      ...{ percent: 42, node: "2", nodeTitle: "Save Image", step: 3, steps: 7, nodesDone: 1, nodesTotal: 2 },
    });
    expect(await jobOf(made.id)).toMatchObject({
      ...{ status: "running", queue_position: null },
      progress: {
        value: 0.42,
        nodes_done: 1,
        nodes_total: 2,
        current_node: "2",
        current_node_class: "SaveImage",
        step: 3,
        steps: 7,
        message: "Save Image 3/7",
      },
    });
    const files = [
      { filename: "made_00001_.png", body: Buffer.from("png"), mediaType: "image/png" },
      { filename: "clip.mp4", body: Buffer.from("mp4"), mediaType: "video/mp4" },
      { filename: "a.latent", body: Buffer.from("latent") },
    ];
    await api.worker.complete(leased, files, ["a text"]);
    const done = await jobOf(made.id);
    expect(done).toMatchObject({ status: "succeeded", progress: { value: 1, nodes_done: 2 }, error: null });
    expect(done.outputs.map(({ type, name }) => [type, name])).toEqual([
      ["image", "made_00001_.png"],
      ["video", "clip.mp4"],
      ["latent", "a.latent"],
      ["text", `${done.outputs[3]!.id}.txt`],
    ]);
    expect(done.metrics["execution_ms"]).toBeGreaterThanOrEqual(0);
    const [first] = done.outputs;
    const content = await api.request(first!.url, { headers: own });
    expect(await content.text()).toBe("png");
    const ours = await api.request(`jobs/${made.id}`, { headers: own });
    expect(await ours.json()).toMatchObject({ id: made.id, type: "workflow", status: "completed" });
    const graph = await get(`${made.id}/workflow`);
    expect(await graph.json()).toMatchObject({
      format: "api",
      workflow: { "2": { class_type: "SaveImage" } },
    });
  });

  test("has its graph with the numbers as they were sent, also those that JavaScript rounds", async () => {
    const text = JSON.stringify({ workflow: graphOf() }).replace('"batch_size":1', '"batch_size":1.0');
    const large = text.replace(
      /"filename_prefix":"made"/,
      '"filename_prefix":"made","seed":18446744073709551615',
    );
    const answer = await api.post("/api/v2/jobs", large, own);
    const { id } = (await answer.json()) as ComfyJob;
    const graph = await (await get(`${id}/workflow`)).text();
    expect(graph).toMatch(/"seed":\s*18446744073709551615/);
    expect(graph).toMatch(/"batch_size":\s*1\.0/);
  });

  test("is promised to be there for a minute where the number of jobs is limited", async () => {
    const { id } = await submit();
    const keeping = { retention: { ageMs: 86_400_000, jobs: 10, bytes: null }, uploadsUnusedMs: null };
    const view = viewOfComfyJob(await storedJob(id), { ...surroundings, keeping });
    expect(Date.parse(String(view["expires_at"])) - Date.now()).toBeLessThanOrEqual(60_000);
  });

  test("of our own API is a job here, also in the list", async () => {
    const sent = await api.post("generate", { type: "image", prompt: "a cat" }, own);
    const { id } = (await sent.json()) as { id: string };
    expect((await jobOf(id)).status).toBe("queued");
    const page = (await (await api.request("/api/v2/jobs?limit=1", { headers: own })).json()) as {
      jobs: { id: string; status: string; create_time: string }[];
      next_cursor: string;
    };
    expect(page.jobs).toEqual([expect.objectContaining({ id, status: "queued" })]);
    const more = `/api/v2/jobs?limit=100&cursor=${page.next_cursor}`;
    const rest = (await (await api.request(more, { headers: own })).json()) as typeof page;
    expect(rest.jobs.length).toBeGreaterThan(0);
    expect(rest.next_cursor).toBeUndefined();
    const labelled = await api.request("/api/v2/jobs?metadata%5Ba%5D=b", { headers: own });
    expect(await labelled.json()).toEqual({ jobs: [] });
    expect(await (await api.request("/api/v2/jobs", { headers: other })).json()).toEqual({ jobs: [] });
    expect(await refusal(await api.request("/api/v2/jobs?limit=0", { headers: own }))).toEqual([
      ...[422, "invalid_request"],
    ]);
  });

  test("that fails says in which node, and with which traceback", async () => {
    const { id } = await submit();
    await api.worker.end(await api.worker.claim(id, serverId), {
      kind: "failed",
      failure: {
        ...{ class: "execution", code: "node-failed", message: "it broke at http://gpu-1/view" },
        ...{
          nodeId: "2",
          nodeType: "SaveImage",
          exceptionMessage: "ValueError: no at http://gpu-1/view",
          traceback: ["line 1", "line 2 of http://gpu-1/view"],
        },
      },
    });
    const { status, error } = await jobOf(id);
    expect([status, error]).toMatchObject([
      "failed",
      { code: "node_execution_error", node_id: "2", class_type: "SaveImage" },
    ]);
    expect(error!.message).toMatch(/^ValueError: no at /);
    expect(error!.traceback).toMatch(/^line 1\nline 2 of /);
    expect(JSON.stringify(error)).not.toContain("gpu-1");
  });

  test("that runs out of time has expired", async () => {
    const { id } = await submit();
    await api.worker.end(await api.worker.claim(id, serverId), {
      kind: "timeout",
      failure: { class: "deadline", code: "timeout", message: "it took too long" },
    });
    expect(await jobOf(id)).toMatchObject({ status: "expired", error: { code: "timeout" } });
    // What an earlier attempt failed by is not why the job ended.
    const earlier: JobFailure = {
      class: "execution",
      code: "node-failed",
      message: "no",
      traceback: ["line 1"],
    };
    expect(viewOfComfyJob(await storedJob(id), { ...surroundings, failure: earlier })["error"]).toEqual({
      ...{ code: "timeout", message: "it took too long", node_id: null, class_type: null, traceback: null },
    });
  });

  test("has links below the path of PUBLIC_URL for clients who come by its host, and for no others", async () => {
    const { id } = await submit();
    const another = await api.startAnother({ PUBLIC_URL: "https://studio.example/genga" });
    const selfOf = async (host: string): Promise<string> => {
      const answer = await new Promise<string>((resolve, reject) => {
        requestOf(`${another.url}/api/v2/jobs/${id}`, { headers: { ...own, host } }, (response) => {
          textOf(response).then(resolve, reject);
        }).once("error", reject);
      });
      return (JSON.parse(answer) as ComfyJob).urls["self"]!;
    };
    expect(await selfOf("studio.example")).toBe(`/genga/api/v2/jobs/${id}`);
    expect(await selfOf(new URL(another.url).host)).toBe(`/api/v2/jobs/${id}`);
  });

  test("that was stored is told of, also if nothing can be read then", async () => {
    const { id } = await submit();
    const job = await storedJob(id);
    const away = openDatabase({ databaseUrl: "postgresql://nobody@127.0.0.1:1/none", poolMax: 1 });
    const jobs = new ComfyJobs({
      ...{ jobs: away.jobReader, keeping: surroundings.keeping },
      jobDetails: { sightOf: () => Promise.resolve(surroundings.sight) },
    });
    const principal: Principal = {
      ...{ tenant: { id: job.tenantId, name: "studio" }, role: "submit", keyName: "key" },
    };
    const viewer = { ...surroundings, principal };
    await expect(jobs.of(job, viewer)).rejects.toThrow(StoreUnavailableError);
    expect(await jobs.ofAccepted(job, viewer)).toMatchObject({
      ...{ id, status: "queued", queue_position: null, outputs: [], urls: { self: `/api/v2/jobs/${id}` } },
    });
    await away.close();
  });

  test("that is removed leaves its assets for as long as other uploads, although the file was not used for long", async () => {
    const { id } = await asset();
    const made = await submit(graphOf(reference(id)));
    await query("UPDATE uploads SET last_used_at = now() - interval '60 days'");
    const expiryOf = async (): Promise<string | null> => {
      const answer = await api.request(`/api/v2/assets/${id}`, { headers: own });
      return ((await answer.json()) as { expires_at: string | null }).expires_at;
    };
    expect(await expiryOf()).toBeNull();
    await cancel(made.id);
    await api.request(`jobs/${made.id}`, { method: "DELETE", headers: own });
    expect(Date.parse((await expiryOf())!) - Date.now()).toBeGreaterThan(29 * 86_400_000);
    // One that is kept for a time of its own keeps the file for the others.
    const longer = await asset();
    await query(`UPDATE assets SET expires_at = now() + interval '1 hour' WHERE id = '${longer.id}'`);
    const other = await api.post("/api/v2/assets/from-hash", { hash: longer.hash }, own);
    const { id: otherId } = (await other.json()) as { id: string };
    await query("UPDATE uploads SET last_used_at = now() - interval '60 days'");
    await query(`UPDATE assets SET expires_at = now() WHERE id = '${longer.id}'`);
    const keep = { from: {}, limit: 500, graceMs: 3_600_000, uploadsUnusedMs: 86_400_000 };
    await api.database.keeping.removeUnused(keep);
    await api.database.keeping.removeUnused(keep);
    expect((await api.request(`/api/v2/assets/${otherId}`, { headers: own })).status).toBe(200);
  });

  test("is cancelled at once while it waits, and by its worker while it runs; again it changes nothing", async () => {
    const waiting = await submit();
    const answer = await cancel(waiting.id);
    expect([answer.status, ((await answer.json()) as ComfyJob).status]).toEqual([200, "canceled"]);
    expect(((await (await cancel(waiting.id)).json()) as ComfyJob).status).toBe("canceled");
    const running = await submit();
    const leased = await api.worker.claim(running.id, serverId);
    expect(((await (await cancel(running.id)).json()) as ComfyJob).status).toBe("canceling");
    expect((await jobOf(running.id)).status).toBe("canceling");
    await api.worker.end(leased, { kind: "cancelled" });
    expect(await jobOf(running.id)).toMatchObject({ status: "canceled", error: null });
  });

  test("of another tenant, or of nobody, is answered as unknown, and so is a removed one", async () => {
    const { id } = await submit();
    for (const path of [id, `${id}/workflow`, `${id}/events`])
      expect(await refusal(await get(path, other))).toEqual([404, "not_found"]);
    expect(await refusal(await cancel(id, other))).toEqual([404, "not_found"]);
    expect(await refusal(await get("0190b8a0-0000-7000-8000-00000000dead"))).toEqual([404, "not_found"]);
    await cancel(id);
    await api.request(`jobs/${id}`, { method: "DELETE", headers: own });
    expect(await refusal(await get(id))).toEqual([404, "not_found"]);
  });

  test("is made once under an Idempotency-Key; a refused one leaves the key", async () => {
    const keyed = { ...own, "idempotency-key": "a key, of any kind" };
    expect(await refusal(await post({ workflow: {} }, keyed))).toEqual([422, "invalid_workflow"]);
    const body = { workflow: graphOf() };
    const both = await Promise.all([post(body, keyed), post(body, keyed)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([201, 422]);
    expect(await refusal(await post(body, keyed))).toEqual([422, "idempotency_key_reuse"]);
    expect((await post(body, { ...keyed, ...other })).status).toBe(201);
  });

  test("keeps the secret of its extra_data to itself", async () => {
    const secret = "comfyui-0123456789abcdef";
    const made = await submit(graphOf(), { extra_data: { api_key_comfy_org: secret } });
    const seen = [
      ...[await get(made.id), await get(`${made.id}/workflow`)],
      await api.request(`jobs/${made.id}/parameters`, { headers: own }),
    ];
    for (const answer of seen) expect(await answer.text()).not.toContain(secret);
    expect(api.logged.join("\n")).not.toContain(secret);
    const leased = await api.worker.claim(made.id, serverId);
    expect(leased.sealedExtraData ?? null).not.toBeNull();
  });
});

const storedJob = async (id: string): Promise<Job> => {
  const job = await api.database.jobRuns.findJob(id);
  if (job === null || job === "removed") throw new Error(`There is no job ${id}.`);
  return job;
};
const surroundings = {
  ...{ sight: new Sight({ role: "submit" }, []), baseUrl: "http://a.example", basePath: "" },
  ...{ outputs: [], queuePosition: null, nodeClass: null, failure: null },
  keeping: { retention: { ageMs: null, jobs: null, bytes: null }, uploadsUnusedMs: null },
};
async function query(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

describe("a graph", () => {
  test("may name assets: uploads, and outputs of jobs", async () => {
    const { id } = await asset();
    const made = await submit(graphOf(reference(id)));
    const shown = (await (await get(`${made.id}/workflow`)).json()) as {
      workflow: Record<string, { inputs: { image: unknown } }>;
    };
    expect(shown.workflow["1"]!.inputs.image).toMatch(/^genga\/[0-9a-f]{64}\.png$/);
    const source = await submit();
    const leased = await api.worker.claim(source.id, serverId);
    await api.worker.complete(leased, [{ filename: "a.png", body: Buffer.from("png") }], ["a text"]);
    const [image, text] = (await jobOf(source.id)).outputs;
    const follows = await submit(graphOf(reference(image!.id.toUpperCase())));
    const next = (await (await get(`${follows.id}/workflow`)).json()) as typeof shown;
    expect(next.workflow["1"]!.inputs.image).toEqual({ __type: "core/ASSET", info: { id: image!.id } });
    const again = await submit(next.workflow);
    expect(await (await get(`${again.id}/workflow`)).json()).toEqual(next);
    const ours = await api.request(`jobs/${again.id}/workflow`, { headers: own });
    expect(JSON.stringify(await ours.json())).toContain(`{"$output":{"from":"${source.id}","output":0}}`);
    expect(await refusal(await post({ workflow: graphOf(reference(text!.id)) }))).toEqual([
      422,
      "missing_asset",
    ]);
  });

  test("with an asset that is not there, or another tenant's, is refused at its input", async () => {
    const { id } = await asset();
    const answer = await post({ workflow: graphOf(reference(id)) }, other);
    const { error } = (await answer.json()) as Envelope;
    expect([answer.status, error.code]).toEqual([422, "missing_asset"]);
    expect(error.details?.node_errors).toEqual({
      "1": [expect.objectContaining({ field: "image", reason: "missing_asset" })],
    });
    await api.request(`/api/v2/assets/${id}`, { method: "DELETE", headers: own });
    for (const wrong of [reference(id), reference(7), { __type: "core/ASSET" }, reference("photo.png")])
      expect(await refusal(await post({ workflow: graphOf(wrong) }))).toEqual([422, "missing_asset"]);
    // The name of no asset is given away by one that lies deeper.
    const deep = graphOf([[reference("0190b8a0-0000-7000-8000-00000000dead")]]);
    expect(await refusal(await post({ workflow: deep }))).toEqual([422, "missing_asset"]);
  });

  test("with more assets than one statement may look up is refused", async () => {
    const references = Array.from({ length: 1_001 }, () => reference(crypto.randomUUID()));
    const answer = await post({ workflow: graphOf(references) });
    const { error } = (await answer.json()) as Envelope;
    expect([answer.status, error.code]).toEqual([422, "invalid_workflow"]);
    expect(error.message).toContain("1000 different assets");
  });

  test.each<[string, object, string]>([
    [
      "with an unknown node",
      { workflow: { "1": { class_type: "Nothing", inputs: {} } } },
      "invalid_workflow",
    ],
    ["without outputs", { workflow: {} }, "invalid_workflow"],
    [
      "in the editor's format",
      { workflow: { nodes: [], links: [], last_node_id: 0, version: 0.4 } },
      "workflow_format_ui",
    ],
    ["that is missing", {}, "invalid_workflow"],
    ["that is no object", { workflow: [] }, "invalid_workflow"],
    ["with inputs", { workflow: graphOf(), inputs: {} }, "invalid_request"],
    ["with a webhook", { workflow: graphOf(), webhook_url: "https://a.example" }, "invalid_request"],
    ["with labels", { workflow: graphOf(), metadata: { a: "b" } }, "metadata_not_supported"],
    ["with other extra data", { workflow: graphOf(), extra_data: { extra_pnginfo: {} } }, "invalid_request"],
    [
      "with a key that is no text",
      { workflow: graphOf(), extra_data: { api_key_comfy_org: 7 } },
      "invalid_request",
    ],
  ])("%s is refused", async (_what, body, code) => {
    expect(await refusal(await post(body))).toEqual([422, code]);
  });

  test("of many nodes goes the same way", async () => {
    const { id } = await asset();
    const nodeOf = (color: number): object => ({
      class_type: "EmptyImage",
      inputs: { width: 64, height: 64, batch_size: 1, color },
    });
    const nodes: Record<string, object> = {};
    for (let index = 0; index < 800; index += 1) nodes[String(index + 10)] = nodeOf(index);
    const made = await submit({ ...nodes, ...graphOf(reference(id)) });
    expect(made.status).toBe("queued");
    const body = { workflow: { ...nodes, ...graphOf(reference("x")) } };
    expect(await refusal(await post(body))).toEqual([422, "missing_asset"]);
    expect(await refusal(await api.post("/api/v2/jobs", "{", own))).toEqual([422, "invalid_request"]);
    expect(
      await refusal(await api.post("/api/v2/jobs", "x", { ...own, "content-type": "text/plain" })),
    ).toEqual([...[422, "invalid_request"]]);
  });

  test("for which the queue has no room is to be sent later", async () => {
    await limit(1);
    await submit().catch(() => undefined);
    const answer = await post({ workflow: graphOf() });
    await limit(null);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refusal(answer)).toEqual([429, "queue_full"]);
  });
});

async function limit(jobsQueuedMax: number | null): Promise<void> {
  const answer = await api.request("tenants/studio/limits", {
    method: "PUT",
    headers: { authorization: "Bearer key-that-operates", "content-type": "application/json" },
    body: JSON.stringify({
      ...{
        jobsQueuedMax,
        jobsRunningMax: null,
        requestsPerMinute: null,
        requestsAtOnce: null,
        streamsMax: null,
      },
    }),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

describe("a stream", () => {
  test("tells the state, progress, outputs and the end, without ids", async () => {
    const { id } = await submit();
    const stream = await Frames.of(id);
    expect(await stream.next()).toEqual([
      "status",
      { status: "queued", queue_position: expect.any(Number) as unknown },
    ]);
    const leased = await api.worker.claim(id, serverId);
    await api.worker.report(leased, "executing", { percent: 10, node: "1", nodesDone: 0, nodesTotal: 2 });
    expect(await stream.until("status")).toEqual({ status: "running", queue_position: null });
    api.worker.signalProgress(leased, 60, { node: "2", nodesDone: 1, nodesTotal: 2 });
    const progress = await stream.until("progress", ({ value }) => value === 0.6);
    expect(progress).toMatchObject({ current_node: "2", current_node_class: "SaveImage", nodes_done: 1 });
    await api.worker.complete(leased, [{ filename: "a.png", body: Buffer.from("png") }]);
    const output = await stream.until("output");
    expect(await stream.next()).toEqual(["status", { status: "succeeded", queue_position: null }]);
    expect(await stream.next()).toBeNull();
    const [listed] = (await jobOf(id)).outputs;
    expect({ ...output, url_expires_at: "" }).toEqual({ ...listed, url_expires_at: "" });
    expect(stream.text).not.toMatch(/^id:/m);
    // Whoever comes later is told the same of the end.
    const later = await Frames.of(id);
    expect([await later.next(), await later.next(), await later.next()]).toEqual([
      ["output", expect.objectContaining({ id: listed!.id })],
      ["status", { status: "succeeded", queue_position: null }],
      null,
    ]);
  });

  test("tells the end, also if the outputs cannot be read at first", async () => {
    const { id } = await submit();
    const leased = await api.worker.claim(id, serverId);
    const job = await storedJob(id);
    const jobs = api.database.jobReader.of(job.tenantId);
    const told: [name: string, data: unknown][] = [];
    const stream = {
      send: (name: string, data: unknown) => {
        told.push([name, data]);
        return Promise.resolve();
      },
      sendJson: () => Promise.resolve(),
      comment: () => Promise.resolve(),
      end: () => undefined,
      ...{ idleMs: 0, closed: new AbortController().signal },
    };
    let reads = 0;
    const comfy = new ComfyJobStream(stream, {
      outputs: () => {
        reads += 1;
        if (reads === 1) return Promise.reject(new StoreUnavailableError(new Error("away")));
        return Promise.resolve([{ name: "a.png" }]);
      },
      ...{ positionOf: () => Promise.resolve(null), positionEveryMs: 0 },
      nodeClassOf: () => Promise.resolve(null),
      picture: () => Promise.resolve(null),
    });
    const watched = {
      ...{ job, read: () => storedJob(id), snapshotOf: (current: Job) => Promise.resolve(current) },
      listEvents: (after: number, limit: number) => jobs.listEvents(id, after, limit),
      viewOfEvent: (event: JobEvent) => Promise.resolve(viewOfEvent(event, surroundings.sight)),
    };
    const times = { heartbeatMs: 15_000, lookMinMs: 10, lookMaxMs: 50 };
    const watching = watchJob(comfy, quietFeed(), watched, { lastSequence: null, times });
    await api.worker.complete(leased, [{ filename: "a.png", body: Buffer.from("png") }]);
    await watching;
    expect(told.slice(-2)).toEqual([
      ["output", { name: "a.png" }],
      ["status", { status: "succeeded", queue_position: null }],
    ]);
    expect(reads).toBe(2);
  });

  test("tells a cancellation, and the place in the queue while it changes", async () => {
    const first = await submit();
    const second = await submit();
    const stream = await Frames.of(second.id);
    const [, begin] = (await stream.next())!;
    await cancel(first.id);
    const moved = await stream.until("status", (data) => data["queue_position"] !== begin["queue_position"]);
    expect(moved["queue_position"]).toBe(Number(begin["queue_position"]) - 1);
    const leased = await api.worker.claim(second.id, serverId);
    await stream.until("status", ({ status }) => status === "running");
    await cancel(second.id);
    await stream.until("status", ({ status }) => status === "canceling");
    await api.worker.end(leased, { kind: "cancelled" });
    expect(await stream.until("status")).toEqual({ status: "canceled", queue_position: null });
    expect(await stream.next()).toBeNull();
  });
});

/** A feed that no signal reaches. */
function quietFeed(): EventFeed {
  return new EventFeed({
    signals: { subscribe: () => Promise.resolve(() => undefined), publish: () => undefined },
    reader: {
      findLastPosition: () => Promise.resolve(5n),
      listPlaced: () => Promise.resolve({ events: [], upTo: 5n }),
      listUnread: () => Promise.resolve([]),
      hasNewsAfter: () => Promise.resolve(false),
    },
    sequencer: { assignPositions: () => Promise.resolve({ events: 0, deliveries: 0, mayBeMore: false }) },
    onError: () => undefined,
  });
}

/** The frames of a stream, one by one. */
class Frames {
  readonly #reader: ReadableStreamDefaultReader<string>;
  text = "";
  #rest = "";

  static async of(id: string): Promise<Frames> {
    const answer = await get(`${id}/events`);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([
      ...[200, "text/event-stream; charset=utf-8"],
    ]);
    return new Frames(answer.body!.pipeThrough(new TextDecoderStream()).getReader());
  }

  constructor(reader: ReadableStreamDefaultReader<string>) {
    this.#reader = reader;
  }

  /** `null` = the stream has ended. */
  async next(): Promise<[event: string, data: Record<string, unknown>] | null> {
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end !== -1) {
        const frame = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 2);
        const event = /^event: (.*)$/m.exec(frame)?.[1];
        const data = /^data: (.*)$/m.exec(frame)?.[1];
        if (event === undefined || data === undefined) continue;
        return [event, JSON.parse(data) as Record<string, unknown>];
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.text += value;
      this.#rest += value;
    }
  }

  async until(
    name: string,
    fits: (data: Record<string, unknown>) => boolean = () => true,
  ): Promise<Record<string, unknown>> {
    for (;;) {
      const frame = await this.next();
      if (frame === null) throw new Error(`The stream ended without ${name}: ${this.text}`);
      if (frame[0] === name && fits(frame[1])) return frame[1];
    }
  }
}
