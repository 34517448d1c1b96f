import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { randomBytes, randomUUID } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import sharp from "sharp";
import { v7 as uuidv7 } from "uuid";
import { type LeasedJob } from "@genga/jobs";
import { buildFailure, buildJob } from "@genga/testing";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// Two tenants on the door of one API; a server with the recorded nodes, whose worker is the test.

let api: ApiUnderTest;
let door: string;
let serverId: string;
const own = { authorization: "Bearer key-of-studio" };
const other = { authorization: "Bearer key-of-atelier" };
const keys = [
  ...[
    "studio:submit:key-of-studio",
    "studio:submit:second-key",
    "studio:read:key-reader",
    "studio:operate:key-operator",
  ],
  "atelier:submit:key-of-atelier",
];

beforeAll(async () => {
  api = await startApiUnderTest({
    env: {
      API_KEYS: keys.join(","),
      COMFYUI_DOOR_PORT: "0",
      SECRETS_KEY: randomBytes(32).toString("base64"),
    },
  });
  door = api.doorUrl!;
  serverId = await api.worker.registerServer("http://gpu-1", await recordedDefinitions("core"));
});
afterAll(async () => {
  await api.stop();
});

type Graph = Record<string, { class_type: string; inputs: Record<string, unknown> }>;
interface ServerError {
  type: string;
  message: string;
  details: string;
  extra_info: Record<string, unknown>;
}
interface Accepted {
  prompt_id: string;
  number: number;
  node_errors: Record<string, { errors: ServerError[]; dependent_outputs: string[]; class_type: string }>;
  error?: ServerError;
}
type Entries = Record<
  string,
  { prompt: [number, string, Graph, object, string[]]; outputs: object; status: object }
>;

const graphOf = (width: unknown = 64, prefix = "pictures/ComfyUI"): Graph => ({
  "1": { class_type: "EmptyImage", inputs: { width, height: 64, batch_size: 1, color: 0 } },
  "7": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: prefix } },
});

const ask = (
  path: string,
  init: RequestInit = {},
  headers: Record<string, string> = own,
): Promise<Response> =>
  fetch(`${door}${path}`, { ...init, headers: { ...headers, ...(init.headers as Record<string, string>) } });
const read = async <Value>(path: string, headers = own): Promise<Value> =>
  (await (await ask(path, {}, headers)).json()) as Value;
const send = (path: string, body: unknown, headers = own): Promise<Response> =>
  ask(path, { method: "POST", body: JSON.stringify(body) }, headers);
const submit = async (body: object, headers = own): Promise<Accepted> =>
  (await (await send("/prompt", body, headers)).json()) as Accepted;

/** The id of the job behind a prompt. */
async function jobOf(promptId: string, headers = own): Promise<string> {
  const tenant = headers === own ? "studio" : "atelier";
  const [owner] = await api.database.tenants.ensureTenants([tenant]);
  const [prompt] = await api.database.doorPrompts.findByPromptIds(owner!.id, [promptId]);
  return prompt!.jobId;
}
const run = async (promptId: string, headers = own): Promise<LeasedJob> =>
  await api.worker.claim(await jobOf(promptId, headers), serverId);
const png = (color: string): Promise<Buffer> =>
  sharp({ create: { width: 16, height: 16, channels: 4, background: color } })
    .png()
    .toBuffer();
async function make(promptId: string, headers = own, color = "#406080"): Promise<Buffer> {
  const body = await png(color);
  await api.worker.complete(await run(promptId, headers), [{ filename: "ComfyUI_00001_.png", body }]);
  return body;
}

describe("a prompt", () => {
  test("is queued, runs, and stands in the history with the names that a server would give", async () => {
    const {
      prompt_id: id,
      number,
      node_errors: errors,
    } = await submit({
      ...{ prompt: graphOf(), client_id: "krita" },
      extra_data: { extra_pnginfo: { workflow: { id: "wf-1" } }, api_key_comfy_org: "secret" },
    });
    expect(errors).toEqual({});
    const queue = await read<{ queue_running: unknown[]; queue_pending: unknown[][] }>("/queue");
    expect(queue.queue_running).toEqual([]);
    expect(queue.queue_pending).toEqual([
      [
        ...[number, id, graphOf()],
        { extra_pnginfo: { workflow: { id: "wf-1" } }, client_id: "krita", create_time: expect.any(Number) },
        ["7"],
      ],
    ]);
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 1 } });
    expect(await read(`/history/${id}`)).toEqual({});
    const body = await make(id);
    expect(await read("/api/prompt")).toEqual({ exec_info: { queue_remaining: 0 } });
    const entry = (await read<Entries>(`/history/${id}`))[id]!;
    const image = { filename: "ComfyUI_00001_.png", subfolder: "pictures", type: "output" };
    expect(entry).toMatchObject({
      prompt: [number, id, graphOf(), { client_id: "krita" }, ["7"]],
      outputs: { "7": { images: [image] } },
      status: { status_str: "success", completed: true },
    });
    const query = new URLSearchParams(image).toString();
    const shown = await ask(`/view?${query}`);
    expect(shown.headers.get("content-type")).toBe("image/png");
    expect(Buffer.from(await shown.arrayBuffer()).equals(body)).toBe(true);
    expect((await ask(`/view?${query}`, { headers: { range: "bytes=0-7" } })).status).toBe(206);
    expect(
      (await ask(`/view?${query}`, { headers: { "if-none-match": shown.headers.get("etag")! } })).status,
    ).toBe(304);
    expect((await ask(`/view?${query}&preview=webp;50`)).headers.get("content-type")).toBe("image/webp");
    expect((await ask(`/view?${query}`, {}, other)).status).toBe(404);
  });

  test("is refused in a server's own words", async () => {
    const refusals: [body: object, expected: object][] = [
      [{}, { error: { type: "no_prompt" } }],
      [{ prompt: {} }, { error: { type: "prompt_no_outputs" } }],
      [{ prompt: graphOf(), prompt_id: "mine" }, { error: { type: "invalid_prompt_id" } }],
      [{ prompt: graphOf(), client_id: [1] }, { error: { type: "invalid_client_id" } }],
      [{ prompt: graphOf(), extra_data: "text" }, { error: { type: "invalid_extra_data" } }],
      [{ prompt: graphOf(), partial_execution_targets: ["1"] }, { error: { type: "prompt_no_outputs" } }],
      [
        { prompt: { "1": { class_type: "NoSuchNode", inputs: {}, _meta: { title: "My Node" } } } },
        {
          error: {
            type: "missing_node_type",
            message: "Node 'My Node' not found. The custom node may not be installed.",
            extra_info: { node_id: "1", class_type: "NoSuchNode", node_title: "My Node" },
          },
          node_errors: {},
        },
      ],
      [
        { prompt: graphOf(-1) },
        {
          error: { type: "prompt_outputs_failed_validation", message: "Prompt outputs failed validation" },
          node_errors: {
            "1": {
              errors: [
                {
                  type: "value_smaller_than_min",
                  message: "Value -1 smaller than min of 1",
                  details: "width",
                  extra_info: { input_name: "width", received_value: -1 },
                },
              ],
              dependent_outputs: ["7"],
              class_type: "EmptyImage",
            },
          },
        },
      ],
      [
        {
          prompt: {
            ...graphOf(),
            "7": { class_type: "SaveImage", inputs: { images: ["9", 0], filename_prefix: "a" } },
          },
        },
        {
          node_errors: {
            "7": {
              errors: [
                {
                  type: "exception_during_validation",
                  details: "'9'",
                  extra_info: { exception_type: "KeyError" },
                },
              ],
            },
          },
        },
      ],
      [
        { prompt: { "7": { class_type: "SaveImage", inputs: { filename_prefix: "a" } } } },
        { node_errors: { "7": { errors: [{ type: "required_input_missing", details: "images" }] } } },
      ],
      [
        {
          prompt: {
            ...{ "1": { class_type: "ImageInvert", inputs: { image: ["2", 0] } } },
            ...{ "2": { class_type: "ImageInvert", inputs: { image: ["1", 0] } } },
            "7": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "a" } },
          },
        },
        {
          node_errors: {
            "1": { errors: [{ type: "dependency_cycle" }] },
            "2": { errors: [{ type: "dependency_cycle" }] },
          },
        },
      ],
      [
        { prompt: { ...graphOf(), "1": { class_type: "LoadImage", inputs: { image: "nope.png" } } } },
        {
          node_errors: {
            "1": {
              errors: [{ type: "custom_validation_failed", details: "image - Invalid image file: nope.png" }],
            },
          },
        },
      ],
    ];
    for (const [body, expected] of refusals) {
      const response = await send("/prompt", body);
      expect([response.status, await response.json()]).toMatchObject([400, expected]);
    }
    const broken = await ask("/prompt", { method: "POST", body: "{" });
    expect([broken.status, await broken.json()]).toMatchObject([400, { error: { type: "malformed_json" } }]);
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 0 } });
  });

  test("sent again while it runs is the same job; afterwards, or with another graph, a new one", async () => {
    const prompt = { prompt: graphOf(65), prompt_id: randomUUID() };
    const all = await Promise.all([submit(prompt), submit(prompt), submit(prompt)]);
    expect(new Set(all.map(({ number }) => number)).size).toBe(1);
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 1 } });
    const first = await jobOf(prompt.prompt_id);
    await submit({ ...prompt, prompt: graphOf(66) });
    const second = await jobOf(prompt.prompt_id);
    expect(second).not.toBe(first);
    await make(prompt.prompt_id);
    await submit({ ...prompt, prompt: graphOf(66) });
    expect(await jobOf(prompt.prompt_id)).not.toBe(second);
    await send("/queue", { clear: true });
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 0 } });
  });

  test("sent again is the sender's own job that goes on, also if another client has used its id since", async () => {
    const prompt = { prompt: graphOf(65), prompt_id: randomUUID() };
    const senders = ["krita", "blender", undefined];
    const from = (client?: string) =>
      submit({ ...prompt, ...(client !== undefined && { client_id: client }) });
    const first = [];
    for (const sender of senders) first.push(await from(sender));
    const again = [];
    for (const sender of senders) again.push(await from(sender));
    expect(again).toEqual(first);
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 3 } });
    await send("/queue", { clear: true });
    expect((await from("krita")).number).toBeGreaterThan(first[2]!.number);
    await send("/queue", { clear: true });
  });

  test("is one job while it runs and a new one afterwards, also beside a job from a process whose clock is ahead", async () => {
    const prompt = { prompt: graphOf(65), prompt_id: randomUUID() };
    const [owner] = await api.database.tenants.ensureTenants(["studio"]);
    const { prompt_id: earlier } = await submit({ prompt: graphOf(66) });
    const [known] = await api.database.doorPrompts.findByPromptIds(owner!.id, [earlier]);
    await send("/queue", { clear: true });
    const id = uuidv7({ msecs: Date.now() + 60_000 });
    const { keyName } = known!;
    const said = { promptId: prompt.prompt_id, saidHash: "of another graph", keyName };
    const nothing = { clientId: null, targets: null, outputNodes: [], socketNodes: [], rewrites: [] };
    const jobs = [buildJob({ id, door: { ...said, ...nothing, number: 1 } })];
    await api.database.jobRequests.insertJobs({ tenantId: owner!.id, batch: null, jobs });
    const first = await submit(prompt);
    expect(await submit(prompt)).toEqual(first);
    await send("/queue", { clear: true });
    const second = await submit(prompt);
    expect(second.number).toBeGreaterThan(first.number);
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 1 } });
    await send("/queue", { clear: true });
  });

  test("that fails, or is interrupted, is told apart by its last message", async () => {
    const failing = await submit({ prompt: graphOf(67) });
    await api.worker.end(await run(failing.prompt_id), {
      kind: "failed",
      failure: buildFailure({ message: "boom", nodeId: "1", nodeType: "EmptyImage" }),
    });
    const running = await submit({ prompt: graphOf(68) });
    const leased = await run(running.prompt_id);
    await send("/interrupt", { prompt_id: failing.prompt_id });
    const before = await api.database.jobRuns.findJob(leased.jobId);
    expect(before).toMatchObject({ cancelRequestedAt: null });
    await api.worker.report(leased, "executing", { percent: 1 });
    await send("/interrupt", {});
    expect(await api.database.jobRuns.findJob(leased.jobId)).toMatchObject({
      cancelRequestedAt: expect.any(Date),
    });
    await api.worker.end(leased, { kind: "cancelled" });
    const messages = async (id: string): Promise<unknown> => {
      const { status } = (await read<Entries>(`/history/${id}`))[id]!;
      return { ...status, messages: (status as { messages: [string, object][] }).messages.at(-1) };
    };
    expect(await messages(failing.prompt_id)).toMatchObject({
      ...{ status_str: "error", completed: false },
      messages: ["execution_error", { node_id: "1", node_type: "EmptyImage", exception_message: "boom\n" }],
    });
    expect(await messages(running.prompt_id)).toMatchObject({ messages: ["execution_interrupted", {}] });
  });

  test("whose picture would only travel as a frame has a node that saves it, and shows none of that", async () => {
    const graph = { ...graphOf(), "7": { class_type: "SaveImageWebsocket", inputs: { images: ["1", 0] } } };
    const { prompt_id: id } = await submit({ prompt: graph });
    const leased = await run(id);
    expect(leased.door).toMatchObject({ targets: null, socketNodes: ["7"] });
    expect(JSON.parse(leased.workflow)).toMatchObject({ "7": { class_type: "SaveImage" } });
    const queue = await read<{ queue_running: unknown[][] }>("/queue");
    expect(queue.queue_running[0]?.[2]).toEqual(graph);
    await api.worker.complete(leased, [{ filename: "ComfyUI_00001_.png", body: await png("#ffffff") }]);
    const entry = (await read<Entries>(`/history/${id}`))[id]!;
    expect([entry.outputs, entry.prompt[2]]).toEqual([{}, graph]);
  });
});

describe("the queue", () => {
  test("of a key is cleared by nobody else, neither by another key of the tenant nor by another tenant", async () => {
    const id = randomUUID();
    await submit({ prompt: graphOf(70), prompt_id: id });
    await submit({ prompt: graphOf(70), prompt_id: id }, other);
    const second = { authorization: "Bearer second-key" };
    for (const headers of [second, other]) {
      await send("/queue", { delete: [id] }, headers);
      if (headers === second) await send("/queue", { clear: true }, headers);
      await send("/interrupt", {}, headers);
      await send(`/api/jobs/${id}/cancel`, {}, second);
    }
    expect(await read("/prompt", second)).toEqual({ exec_info: { queue_remaining: 0 } });
    expect(await read("/prompt", other)).toEqual({ exec_info: { queue_remaining: 0 } });
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 1 } });
    // A prompt that runs is not touched.
    const leased = await run(id);
    await send("/queue", { delete: [id], clear: true });
    expect(await read("/prompt")).toEqual({ exec_info: { queue_remaining: 1 } });
    await api.worker.end(leased, { kind: "cancelled" });
  });

  test("of a key runs in the order that it shows, if its prompts are sent with numbers or to the front", async () => {
    const second = { authorization: "Bearer second-key" };
    const [late, soon, first] = [
      await submit({ prompt: graphOf(75) }, second),
      await submit({ prompt: graphOf(76), number: 5 }, second),
      await submit({ prompt: graphOf(77), front: true, prompt_id: randomUUID() }, second),
    ];
    const ids = [first, soon, late].map(({ prompt_id: id }) => id);
    const { queue_pending: pending } = await read<{ queue_pending: [number, string][] }>("/queue", second);
    expect(pending.map(([, id]) => id)).toEqual(ids);
    const before = await Promise.all(
      ids.map(async (id) => {
        const job = await api.request(`jobs/${await jobOf(id)}`, { headers: own });
        return ((await job.json()) as { waitingFor: { jobsBefore: number } }).waitingFor.jobsBefore;
      }),
    );
    expect(before.map((count) => count - before[0]!)).toEqual([0, 1, 2]);
    // As a server does, it takes a number of a client for a float.
    expect(await (await ask("/queue", {}, second)).text()).toContain(`[5.0,"${soon.prompt_id}",`);
    const last = await send("/prompt", { prompt: graphOf(78), number: 7 }, second);
    expect(await last.text()).toContain('"number":7.0,');
    expect(await (await ask("/api/jobs", {}, second)).text()).toContain('"priority":7.0,');
    const shown = await ask(`/api/jobs/${soon.prompt_id}`, {}, second);
    expect(await shown.text()).toContain('"priority":5.0,');
    await send("/queue", { clear: true }, second);
  });
});

test("a client that reads the history and then the queue, also of another process, finds a prompt that ends between the two", async () => {
  const another = (await api.startAnother({ COMFYUI_DOOR_PORT: "0" })).doorUrl!;
  const names = async (headers = own, from = door): Promise<string[]> => {
    const answer = await fetch(`${from}/queue`, { headers });
    const { queue_running: running } = (await answer.json()) as { queue_running: [number, string][] };
    return running.map(([, name]) => name);
  };
  for (let isShared = false; !isShared;) {
    const { prompt_id: earlier } = await submit({ prompt: graphOf(63, "between") });
    expect(await read(`/history/${earlier}`)).toEqual({});
    await make(earlier);
    // Both processes connect to Redis as soon as they have started.
    isShared = (await names(own, another)).includes(earlier);
    expect(await names()).toEqual([earlier]);
    await fetch(`${isShared ? another : door}/history/${earlier}`, { headers: own });
    expect(await names()).toEqual([]);
  }
  const { prompt_id: id } = await submit({ prompt: graphOf(64, "between") });
  expect(await read(`/history/${id}`)).toEqual({});
  await make(id);
  expect(await names()).toEqual([id]);
  expect(await names({ authorization: "Bearer second-key" })).toEqual([]);
  expect(Object.keys(await read(`/history/${id}`))).toEqual([id]);
  expect(await names()).toEqual([]);
  // No prompt has such an id, and no statement may contain it.
  expect(await read("/history/a%00b")).toEqual({});
  expect(await names()).toEqual([]);
});

describe("the history", () => {
  test("shows the newest prompts, oldest first, and hides what a client removes", async () => {
    await send("/history", { clear: true }, other);
    const ids: string[] = [];
    for (const width of [71, 72, 73]) {
      const { prompt_id: id } = await submit({ prompt: graphOf(width) }, other);
      await make(id, other);
      ids.push(id);
    }
    const names = async (query = ""): Promise<string[]> =>
      Object.keys(await read<Entries>(`/history${query}`, other));
    expect(await names()).toEqual(ids);
    expect(await names("?max_items=2")).toEqual(ids.slice(1));
    expect(await names("?offset=1&max_items=1")).toEqual([ids[1]]);
    expect(await names("?max_items=0")).toEqual([]);
    expect((await ask("/history?max_items=abc", {}, other)).status).toBe(400);
    await send("/history", { clear: true });
    await send("/history", { delete: [ids[0]] }, other);
    expect(await names()).toEqual(ids.slice(1));
    expect(await read(`/history/${ids[0]}`, other)).toEqual({});
    const jobs = await read<{ jobs: { id: string }[] }>("/api/jobs", other);
    expect(jobs.jobs.map(({ id }) => id)).toEqual([ids[2], ids[1]]);
    const shown = await read<object>(`/api/jobs/${ids[2]}`, other);
    expect(shown).toMatchObject({
      ...{ id: ids[2], status: "completed", outputs_count: 1 },
      preview_output: { filename: "ComfyUI_00003_.png", subfolder: "pictures", type: "output", nodeId: "7" },
      execution_status: { completed: true },
    });
    expect((await ask(`/api/jobs/${ids[2]}`)).status).toBe(404);
    expect((await ask(`/jobs`)).status).toBe(404);
    expect((await ask("/api/jobs?limit=0")).status).toBe(400);
  });

  test("may have numbers that JSON does not have, as servers write them", async () => {
    await send("/history", { clear: true }, other);
    const { prompt_id: id } = await submit({ prompt: graphOf(74) }, other);
    const entry = '{"outputs":{"7":{"loss":[NaN,-Infinity]}},"status":{"messages":[]},"meta":{}}';
    await api.worker.end(await run(id, other), { kind: "completed", outputs: [] }, entry);
    const { jobs } = await read<{ jobs: { id: string }[] }>("/api/jobs", other);
    expect(jobs.map((job) => job.id)).toEqual([id]);
    const shown = await read<object>(`/api/jobs/${id}`, other);
    expect(shown).toMatchObject({ status: "completed", outputs: { "7": { loss: [null, null] } } });
    expect(await (await ask(`/history/${id}`, {}, other)).text()).toContain("[NaN,-Infinity]");
  });
});

test("a job is shown with all digits of the numbers that it was sent with", async () => {
  const seed = "18446744073709551615";
  const body = `{"prompt":${JSON.stringify(graphOf(75))},"extra_data":{"extra_pnginfo":{"seed":${seed}}}}`;
  const { prompt_id: id } = (await (
    await ask("/prompt", { method: "POST", body }, other)
  ).json()) as Accepted;
  await make(id, other);
  expect(await (await ask(`/api/jobs/${id}`, {}, other)).text()).toContain(`"seed":${seed}`);
});

test("a long history arrives whole, however slowly its client reads", async () => {
  const warnings: string[] = [];
  const note = ({ message }: Error): void => void warnings.push(message);
  process.on("warning", note);
  await send("/history", { clear: true });
  const ids: string[] = [];
  const extra = { extra_pnginfo: { workflow: { notes: "x".repeat(400_000) } } };
  for (let width = 100; width < 114; width += 1) {
    const { prompt_id: id } = await submit({ prompt: graphOf(width), extra_data: extra });
    await make(id);
    ids.push(id);
  }
  const asked = httpRequest(`${door}/history`, { headers: own });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) {
    text += chunk as string;
    await sleep(0);
  }
  expect(Object.keys(JSON.parse(text) as Entries)).toEqual(ids);
  process.off("warning", note);
  expect(warnings).toEqual([]);
});

describe("a file", () => {
  const form = (fields: Record<string, string>, content: Buffer, name = "up.png"): FormData => {
    const data = new FormData();
    for (const [field, value] of Object.entries(fields)) data.set(field, value);
    data.set("image", new Blob([new Uint8Array(content)]), name);
    return data;
  };
  const upload = async (fields: Record<string, string>, color: string, headers = own): Promise<unknown> =>
    (await ask("/upload/image", { method: "POST", body: form(fields, await png(color)) }, headers)).json();

  test("that a client sends has the client's name, which graphs may use, and nobody else's has", async () => {
    const named = { name: "up.png", subfolder: "", type: "input" };
    expect(await upload({}, "#111111")).toEqual(named);
    expect(await upload({}, "#111111")).toEqual(named);
    expect(await upload({}, "#222222")).toEqual({ ...named, name: "up (1).png" });
    expect(await upload({ subfolder: "a/b", overwrite: "true" }, "#222222")).toEqual({
      ...named,
      subfolder: "a/b",
    });
    expect(await upload({}, "#333333", other)).toEqual(named);
    const seen = await (await ask("/view?filename=up.png&type=input", {}, other)).arrayBuffer();
    expect(Buffer.from(seen).equals(await png("#333333"))).toBe(true);
    const loading = (image: string): Graph => ({
      ...graphOf(),
      "1": { class_type: "LoadImage", inputs: { image } },
    });
    const { prompt_id: id } = await submit({ prompt: loading("a/b/up.png") });
    const leased = await run(id);
    expect(leased.workflow).toContain("genga/");
    const { queue_running: running } = await read<{ queue_running: unknown[][] }>("/queue");
    expect(running[0]?.[2]).toEqual(loading("a/b/up.png"));
    await api.worker.end(leased, { kind: "cancelled" });
    expect(await submit({ prompt: loading("up (1).png") }, other)).toMatchObject({
      node_errors: { "1": { errors: [{ type: "custom_validation_failed" }] } },
    });
    const info = async (headers: typeof own): Promise<unknown> =>
      (
        await read<Record<string, { input: { required: { image: unknown[] } } }>>(
          "/object_info/LoadImage",
          headers,
        )
      )["LoadImage"]?.input.required.image;
    expect(await info(own)).toMatchObject([["up (1).png", "up.png", "a/b/up.png"], { image_upload: true }]);
    expect(await info(other)).toMatchObject([["up.png"], {}]);
  });

  test("is taken from a form with an epilogue", async () => {
    const whole = new Response(form({ subfolder: "epilogues" }, await png("#123456")));
    const response = await ask("/upload/image", {
      method: "POST",
      headers: { "content-type": whole.headers.get("content-type")! },
      body: Buffer.concat([Buffer.from(await whole.arrayBuffer()), Buffer.alloc(100_000, "an epilogue")]),
    });
    expect(await response.json()).toEqual({ name: "up.png", subfolder: "epilogues", type: "input" });
  });

  test("that is none, or leads out of its folder, is refused", async () => {
    const text = await ask("/upload/image", { method: "POST", body: form({}, Buffer.from("text")) });
    expect([text.status, await text.json()]).toMatchObject([
      415,
      { error: { type: "unsupported_media_type" } },
    ]);
    const out = form({ subfolder: "../.." }, await png("#111111"));
    expect((await ask("/upload/image", { method: "POST", body: out })).status).toBe(400);
    const statuses = await Promise.all(
      [
        "",
        "?filename=",
        "?filename=../x.png",
        "?filename=x.png&type=bogus",
        "?filename=x.png&subfolder=..",
        "?filename=x.png",
      ].map(async (query) => (await ask(`/view${query}`)).status),
    );
    expect(statuses).toEqual([404, 400, 400, 400, 403, 404]);
  });

  test("gets a mask", async () => {
    await upload({}, "#112233");
    const mask = await sharp({
      create: { width: 16, height: 16, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0.5 } },
    })
      .png()
      .toBuffer();
    const original = JSON.stringify({ filename: "up.png", subfolder: "", type: "input" });
    const body = form({ original_ref: original, subfolder: "clipspace" }, mask, "masked.png");
    const answer = await ask("/upload/mask", { method: "POST", body });
    expect(await answer.json()).toEqual({ name: "masked.png", subfolder: "clipspace", type: "input" });
    const seen = await ask("/view?filename=masked.png&type=input&subfolder=clipspace");
    const { data } = await sharp(Buffer.from(await seen.arrayBuffer()))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(data[3]).toBe(128);
    const marked = JSON.stringify({ filename: "masked.png [input]", subfolder: "clipspace" });
    const second = form({ original_ref: marked, subfolder: "clipspace" }, mask, "again.png");
    expect((await ask("/upload/mask", { method: "POST", body: second })).status).toBe(200);
    expect((await ask("/view?filename=again.png&type=input&subfolder=clipspace")).status).toBe(200);
    expect((await ask("/upload/mask", { method: "POST", body: form({}, mask) })).status).toBe(400);
  });
});

describe("what the farm has", () => {
  test("is told as one server would, with lists united, and not again to who knows it", async () => {
    const [definitions] = [await recordedDefinitions("core")];
    const loader = structuredClone(definitions["CheckpointLoaderSimple"]) as {
      input: { required: { ckpt_name: [string[]] } };
    };
    loader.input.required.ckpt_name[0] = ["only-there.safetensors"];
    await api.worker.registerServer("http://gpu-2", {
      ...definitions,
      CheckpointLoaderSimple: loader,
    });
    while (!(await read<string[]>("/models/checkpoints")).includes("only-there.safetensors")) await sleep(20);
    const info = await ask("/object_info");
    const classes = (await info.json()) as Record<string, typeof loader>;
    expect(Object.keys(classes).toSorted()).toEqual(Object.keys(definitions).toSorted());
    expect(classes["CheckpointLoaderSimple"]?.input.required.ckpt_name[0]).toContain(
      "only-there.safetensors",
    );
    const etag = info.headers.get("etag")!;
    expect((await ask("/object_info", { headers: { "if-none-match": etag } })).status).toBe(304);
    expect(await read("/object_info/NoSuchNode")).toEqual({});
    expect((await ask("/models/nope")).status).toBe(404);
    expect(await read("/models")).toContain("loras");
    expect(await read("/embeddings")).toEqual([]);
    expect(await read("/features")).toMatchObject({ supports_preview_metadata: true });
    expect((await send("/free", { unload_models: true })).status).toBe(200);
    expect(await read("/system_stats")).toMatchObject({
      ...{ system: { comfyui_version: "0.28.0" }, genga: { version: expect.any(String) } },
    });
  });
});

test("a client that asks for a server's page finds the server, if it may", async () => {
  const statuses = async (headers: Record<string, string>): Promise<number[]> =>
    await Promise.all(["GET", "HEAD"].map(async (method) => (await ask("/", { method }, headers)).status));
  expect(await statuses(own)).toEqual([200, 200]);
  expect(await (await ask("/")).text()).toContain("Genga");
  expect(await statuses({})).toEqual([401, 401]);
});

describe("a key", () => {
  test("may stand in the URL, is in no log, and must be one that submits and no more", async () => {
    const [path, token] = await Promise.all([
      fetch(`${door}/key/key-of-studio/prompt`),
      fetch(`${door}/api/prompt?token=key-of-studio`),
    ]);
    expect([path.status, token.status]).toEqual([200, 200]);
    expect(path.headers.get("referrer-policy")).toBe("no-referrer");
    const refused = async (url: string, headers = {}): Promise<unknown> => {
      const response = await fetch(`${door}${url}`, { headers });
      return [response.status, ((await response.json()) as Accepted).error?.type];
    };
    expect(await refused("/prompt")).toEqual([401, "key_missing"]);
    expect(await refused("/key/nobodys/queue")).toEqual([401, "key_unknown"]);
    expect(await refused("/key/key-operator/queue")).toEqual([403, "role_too_low"]);
    expect(await refused("/queue", { authorization: "Bearer key-reader" })).toEqual([403, "role_too_low"]);
    expect((await fetch(`${door}/queue`, { headers: { authorization: "Bearer key-operator" } })).status).toBe(
      200,
    );
    // As a client writes it whose base URL ends with a slash, and as a proxy asks.
    expect((await fetch(`${door}//key/key-of-studio/prompt`)).status).toBe(200);
    const { port } = new URL(door);
    const asked = httpRequest({ port, host: "127.0.0.1", path: `${door}/key/key-of-studio/prompt` }).end();
    const [viaProxy] = (await once(asked, "response")) as [IncomingMessage];
    expect(viaProxy.resume().statusCode).toBe(200);
    // Sent to the other port by mistake.
    await fetch(`${api.url}/key/key-of-studio/prompt`);
    for (const secret of ["key-of-studio", "nobodys", "key-operator/"])
      expect(api.logged.filter((line) => line.includes(secret))).toEqual([]);
  });

  test("does not let in a page of another origin, over HTTP or for a WebSocket", async () => {
    const statusOf = async (
      headers: Record<string, string>,
      path = "/key/key-of-studio/queue",
    ): Promise<number> => {
      const asked = httpRequest(`${door}${path}`, { headers });
      asked.end();
      const answered = await Promise.race([once(asked, "response"), once(asked, "upgrade")]);
      const [response] = answered as [IncomingMessage];
      response.resume();
      return response.statusCode ?? 0;
    };
    expect(await statusOf({ origin: "https://evil.example" })).toBe(403);
    expect(await statusOf({ origin: "null" })).toBe(403);
    expect(await statusOf({ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" })).toBe(403);
    expect(await statusOf({ origin: door })).toBe(200);
    const upgrade = {
      ...{ connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const socket = (headers: Record<string, string>, path = "/key/key-of-studio/ws"): Promise<number> =>
      statusOf({ ...upgrade, ...headers }, path);
    expect(await socket({ origin: "https://evil.example" })).not.toBe(101);
    expect(await socket({}, "/ws")).not.toBe(101);
    expect(await socket({}, "/key/key-reader/ws")).not.toBe(101);
  });
});
