import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { type Json } from "@genga/jobs";
import { RedisReach } from "../src/jobs/redis-reach.ts";
import { jobDetailSchema, type JobDetail } from "../src/jobs/job-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// Two servers with different checkpoints; nothing runs by itself.

const urls = { a: "http://a.test:8188", b: "http://b.test:8188" };
let api: ApiUnderTest;
let servers: { a: string; b: string };

beforeAll(async () => {
  api = await startApiUnderTest();
  servers = {
    a: await api.worker.registerServer(urls.a, await definitionsWith("counterfeit_v3.safetensors")),
    b: await api.worker.registerServer(urls.b, await definitionsWith("AOM3A1B.safetensors")),
  };
});
beforeEach(async () => {
  await setLabels([], []);
  await api.worker.setState(servers.a, "online", null);
  await api.worker.setState(servers.b, "online", null);
});
afterAll(() => api.stop());

async function definitionsWith(...checkpoints: string[]): Promise<Record<string, Json>> {
  const definitions = await recordedDefinitions("core");
  const loader = definitions["CheckpointLoaderSimple"] as { input: { required: Record<string, Json> } };
  const required = { ...loader.input.required, ckpt_name: [checkpoints] };
  return { ...definitions, CheckpointLoaderSimple: { ...loader, input: { ...loader.input, required } } };
}

async function setLabels(ofA: string[], ofB: string[]): Promise<void> {
  await api.database.servers.registerServers([
    { url: urls.a, slots: 2, labels: ofA },
    { url: urls.b, slots: 2, labels: ofB },
  ]);
}

async function submit(body: object = {}): Promise<string> {
  const response = await api.post("generate", { type: "image", prompt: "a cat", ...body });
  if (response.status !== 202) throw new Error(await response.text());
  return ((await response.json()) as { id: string }).id;
}

async function reasonOf(id: string): Promise<NonNullable<JobDetail["waitingFor"]>> {
  const detail = jobDetailSchema.parse(await (await api.request(`jobs/${id}`)).json());
  if (detail.waitingFor === null) throw new Error(`Job ${id} does not wait.`);
  return detail.waitingFor;
}

/** Answers about servers may be a moment old. */
async function reasonWith(id: string, code: string): Promise<NonNullable<JobDetail["waitingFor"]>> {
  for (;;) {
    const reason = await reasonOf(id);
    if (reason.code === code) return reason;
    await sleep(50);
  }
}

/** Submits until the labels of servers are known to the API. */
async function submitWithLabels(body: object): Promise<string> {
  for (;;) {
    const response = await api.post("generate", { type: "image", prompt: "a cat", ...body });
    if (response.status === 202) return ((await response.json()) as { id: string }).id;
    await sleep(50);
  }
}

test("no server with the labels: which of them are missing", async () => {
  await setLabels(["gpu:24gb", "pool:night"], []);
  const id = await submitWithLabels({ requires: ["gpu:24gb", "pool:night"] });
  expect((await reasonOf(id)).code).toMatch(/^(next|behind-others)$/);
  await setLabels(["pool:night"], ["gpu:24gb"]);
  expect(await reasonWith(id, "no-server-with-labels")).toMatchObject({
    missing: ["the label gpu:24gb"],
    message: "No known server that can run it has the label gpu:24gb.",
    estimatedWaitMs: null,
  });
  await setLabels(["gpu:24gb", "pool:night", "more"], []);
  await reasonWith(id, "next");
});

test("no server that can run it takes work, although another does", async () => {
  const id = await submit({ model: "AOM3A1B.safetensors" });
  await api.worker.setState(servers.b, "unreachable", "connection refused");
  const { message } = await reasonWith(id, "no-server-online");
  expect(message).toBe(`No server that can run it takes work now: ${urls.b} is unreachable.`);
  expect((await reasonOf(await submit())).code).not.toBe("no-server-online");
});

test("a model that is gone from all servers, as soon as their definitions say so", async () => {
  await api.worker.setDefinitions(
    servers.b,
    await definitionsWith("AOM3A1B.safetensors", "anything_v5.safetensors"),
  );
  const id = await submit({ model: "anything_v5.safetensors" });
  await api.worker.setDefinitions(servers.b, await definitionsWith("AOM3A1B.safetensors"));
  expect(await reasonWith(id, "no-server-can-run-it")).toMatchObject({
    missing: ["anything_v5.safetensors"],
    message: "No known server has anything_v5.safetensors.",
  });
});

test("its turn: how many come before it, its place in its lane, and how long that takes by measured runs", async () => {
  await api.worker.setDefinitions(servers.a, await definitionsWith("measured.safetensors"));
  const asked = { model: "measured.safetensors", negativePrompt: "x" };
  const ids: string[] = [];
  for (let count = 0; count < 4; count += 1) ids.push(await submit(asked));
  const before = await reasonOf(ids[3]!);
  expect(before).toMatchObject({
    ...{ code: "behind-others", jobsBefore: 3, hasMoreBefore: false, position: 4 },
    ...{ estimatedWaitMs: null, lane: expect.stringMatching(/^measured-[0-9a-f]{12}$/) },
  });
  const [tenant] = await api.database.tenants.ensureTenants(["measured"]);
  const measure = {
    lane: before.lane!,
    tenantId: tenant!.id,
    runs: 10,
    runMs: 2_000,
    loads: 1,
    loadMs: 7_000,
  };
  await api.database.laneServing.addMeasures([measure]);
  // One server has the model; it has not loaded it yet.
  expect(await reasonOf(ids[3]!)).toMatchObject({ estimatedWaitMs: 13_000 });
  const message = "It is the next job for measured.safetensors, as soon as a server loads that model.";
  expect(await reasonOf(ids[0]!)).toMatchObject({
    ...{ code: "next", message, position: 1, estimatedWaitMs: 7_000 },
  });
});

test("Redis is away: it is asked once a second at most, whoever wants to know", async () => {
  let asked = 0;
  const away = new RedisReach(() => {
    asked += 1;
    return Promise.reject(new Error("connection refused"));
  });
  expect(await Promise.all([away.isAway(), away.isAway(), away.isAway()])).toEqual([true, true, true]);
  expect(asked).toBe(1);
  expect(await new RedisReach(() => Promise.resolve()).isAway()).toBe(false);
});
