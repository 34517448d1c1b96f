import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventSignal, type DoorMessage, type LeasedJob } from "@genga/jobs";
import { RedisDoorMessageGiver } from "@genga/queue";
import { askUntil, postPrompt, SocketClient, testServiceUrl } from "@genga/testing";
import { pino } from "pino";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { openEvents, type ReadEvent } from "./event-source.ts";

// Two tenants and an operator; a server whose address, and a worker whose name, only the operator may see.

const url = "http://gpu-7.internal:8188";
const secrets = /gpu-7|8188|test-worker|10\.9\.8\.7/;
let api: ApiUnderTest;
let serverId: string;

beforeAll(async () => {
  const apiKeys = "studio:key-of-studio,rival:key-of-rival,studio:operate:key-of-operator";
  api = await startApiUnderTest({ env: { API_KEYS: apiKeys, HOST: "0.0.0.0", COMFYUI_DOOR_PORT: "0" } });
  serverId = await api.worker.registerServer(url, await recordedDefinitions("core"));
});
afterAll(() => api.stop());

const as = (key: string): Record<string, string> => ({ "x-api-key": `key-of-${key}` });
const textOf = async (path: string, key: string): Promise<string> =>
  (await api.request(path, { headers: as(key) })).text();
const read = async (path: string, key: string): Promise<Record<string, unknown>> =>
  JSON.parse(await textOf(path, key)) as Record<string, unknown>;

async function submit(key: string): Promise<string> {
  const response = await api.post("generate", { type: "image", prompt: "a cat" }, as(key));
  return ((await response.json()) as { id: string }).id;
}

async function eventsOf(id: string, key: string): Promise<ReadEvent[]> {
  const stream = await openEvents(`${api.url}/api/anime/jobs/${id}/events`, {
    ...as(key),
    "last-event-id": "1",
  });
  return stream.rest();
}

test("a tenant sees no address and no worker of its job that failed, and an operator sees both", async () => {
  const id = await submit("studio");
  const live = await openEvents(`${api.url}/api/anime/jobs/${id}/events`, as("studio"));
  const leased = await api.worker.claim(id, serverId);
  await api.worker.end(leased, {
    kind: "failed",
    failure: {
      class: "server",
      code: "poison",
      message: `It killed its servers: ${url} (connect ECONNREFUSED 10.9.8.7:8188).`,
      exceptionMessage: `could not reach ${url}/view`,
      traceback: [`  File "x.py", line 1: ${url}`],
    },
  });
  const paths = [`job/${id}`, `jobs/${id}/attempts`, "jobs", "servers", "queue"];
  for (const path of paths) {
    expect([path, await textOf(path, "studio")]).toEqual([path, expect.not.stringMatching(secrets)]);
  }
  for (const path of paths.slice(0, 4)) {
    expect([path, await textOf(path, "operator")]).toEqual([path, expect.stringMatching(secrets)]);
  }
  expect(JSON.stringify(await live.rest())).not.toMatch(secrets);
  const stored = await eventsOf(id, "studio");
  expect(stored.map(({ data }) => data["type"])).toContain("claimed");
  expect(JSON.stringify(stored)).not.toMatch(secrets);
  const seen = JSON.stringify(await eventsOf(id, "operator"));
  for (const text of [url, "test-worker", "10.9.8.7"]) expect(seen).toContain(text);

  const job = await read(`job/${id}`, "studio");
  const { servers } = (await read("servers", "studio")) as { servers: { id: string; name: string }[] };
  expect(servers).toEqual([
    { ...servers[0], id: serverId, name: expect.stringMatching(/^server-[0-9a-f]{8}$/), state: "online" },
  ]);
  expect(job["server"]).toEqual({ id: serverId, name: servers[0]!.name });
  expect((job["failure"] as { message: string }).message).toBe(
    `It killed its servers: ${servers[0]!.name} (connect ECONNREFUSED).`,
  );
});

test("a tenant sees no address in the warnings of its job that completed, and an operator does", async () => {
  const id = await submit("studio");
  const leased = await api.worker.claim(id, serverId);
  await api.worker.end(leased, {
    kind: "completed",
    outputs: [],
    warnings: [`Blocked: no answer of ${url}.`],
  });
  const warnings = async (key: string): Promise<unknown> => (await read(`job/${id}`, key))["warnings"];
  expect(await warnings("studio")).toEqual([
    expect.stringMatching(/^Blocked: no answer of server-[\da-f]{8}\.$/),
  ]);
  expect(await warnings("operator")).toEqual([`Blocked: no answer of ${url}.`]);
});

describe("clients of ComfyUI's protocol see no address of a server", () => {
  const quoting = `It killed its servers: ${url} (connect ECONNREFUSED 10.9.8.7:8188).`;
  const shown = /^It killed its servers: server-[\da-f]{8} \(connect ECONNREFUSED\)\.\n?$/;
  const graph = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "7": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "door" } },
  };
  let client: SocketClient;
  beforeAll(async () => {
    client = await SocketClient.open(api.doorUrl!, "client", { headers: as("studio") });
  });
  afterAll(() => client.close());

  async function run(color: number): Promise<{ promptId: string; leased: LeasedJob }> {
    const inputs = { ...graph[1].inputs, color };
    const prompt = { ...graph, "1": { ...graph[1], inputs } };
    const promptId = await postPrompt(api.doorUrl!, { prompt, client_id: "client" }, as("studio"));
    const [studio] = await api.database.tenants.ensureTenants(["studio"]);
    const [found] = await api.database.doorPrompts.findByPromptIds(studio!.id, [promptId]);
    return { promptId, leased: await api.worker.claim(found!.jobId, serverId) };
  }
  const errorOf = (leased: LeasedJob): [string, object] => [
    "execution_error",
    {
      ...{ prompt_id: leased.door!.promptId, node_id: "7", node_type: "SaveImage", executed: [] },
      ...{ exception_message: quoting, exception_type: "RuntimeError", traceback: [`line 1: ${url}`] },
      ...{ current_inputs: { address: ["http://own.example"] }, current_outputs: [] },
    },
  ];
  const entryOf = (leased: LeasedJob): string =>
    JSON.stringify({ outputs: {}, status: { status_str: "error", messages: [errorOf(leased)] }, meta: {} });
  /** All that the door tells of the prompt. */
  async function told(promptId: string): Promise<string[]> {
    const paths = ["history", `history/${promptId}`, "api/jobs", `api/jobs/${promptId}`];
    const answers = paths.map((path) => fetch(`${api.doorUrl!}/${path}`, { headers: as("studio") }));
    return Promise.all(answers.map(async (answer) => (await answer).text()));
  }

  test.each([
    ["whose end no server told", 1, () => undefined],
    ["whose server quotes it in its error", 2, entryOf],
  ])("in the error of a prompt %s", async (_what, color, entry) => {
    const { promptId, leased } = await run(color);
    const failure = { class: "server", code: "poison", message: quoting } as const;
    const end = await api.database.jobRuns.endAttempt(leased, { kind: "failed", failure }, entry(leased));
    if (!end.held) throw new Error("The lease was lost.");
    api.signals.publish("job", eventSignal(end.event, end.job));
    const heard = (await client.untilEnd(promptId)).find(({ type }) => type === "execution_error");
    expect(heard?.data["exception_message"]).toMatch(shown);
    for (const text of [JSON.stringify(heard), ...(await told(promptId))]) {
      expect(text).toContain("It killed its servers: server-");
      expect(text).not.toMatch(secrets);
    }
  });

  test("in the error of a node that was blocked while its prompt went on, and see what they sent themselves", async () => {
    const { promptId, leased } = await run(3);
    const giver = new RedisDoorMessageGiver({
      ...{ redisUrl: testServiceUrl("TEST_REDIS_URL"), prefix: api.env["REDIS_PREFIX"]! },
      logger: pino({ enabled: false }),
    });
    const { jobId, attempt, promptId: serverPromptId, job } = leased;
    const [type, data] = errorOf(leased);
    const json = JSON.stringify({ type, data });
    const message: DoorMessage = { ...{ jobId, attempt, serverPromptId }, kind: "text", type, json };
    giver.publish(job.tenantId, message);
    const heard = await client.until((each) => each.type === type && each.data["prompt_id"] === promptId);
    expect(JSON.stringify(heard)).not.toMatch(secrets);
    expect(heard).toMatchObject({
      data: {
        exception_message: expect.stringMatching(shown),
        current_inputs: { address: ["http://own.example"] },
      },
    });
    await giver.close();
  });
});

test("the queue shows a tenant its own jobs, and an operator those of all", async () => {
  await submit("studio");
  await submit("rival");
  const own = await read("queue", "rival");
  expect(own).toMatchObject({ counts: { queued: 1 } });
  expect(Object.keys(own).toSorted()).toEqual(["counts", "lanes", "oldestQueuedAt", "pausedSince"]);
  expect(await read("queue", "operator")).toMatchObject({
    counts: { queued: 1 },
    allTenants: { counts: { queued: 2 } },
    servers: { total: 1 },
    workers: { alive: 1 },
  });
});

test("the counts over time are each tenant's own, and an operator also sees those of all together", async () => {
  interface Statistics {
    steps: { completed: number; cancelled: number }[];
    allTenants?: Statistics["steps"];
  }
  const counts = async (key: string): Promise<(number | undefined)[]> => {
    const { steps, allTenants } = (await read("statistics?hours=1", key)) as unknown as Statistics;
    const sums = [steps, allTenants].map((list) => list?.reduce((sum, { cancelled }) => sum + cancelled, 0));
    return sums;
  };
  const before = await Promise.all(["studio", "rival", "operator"].map(counts));
  for (const key of ["studio", "rival", "rival"]) {
    const id = await submit(key);
    expect((await api.post(`jobs/${id}/cancel`, {}, as(key))).status).toBeLessThan(300);
  }
  while ((await api.database.keeping.foldCounts(5_000)) > 0);
  const after = await Promise.all(["studio", "rival", "operator"].map(counts));
  const grown = after.map((sums, index) =>
    sums.map((sum, which) => (sum === undefined ? undefined : sum - (before[index]?.[which] ?? 0))),
  );
  // The operator's key is one of the studio.
  expect(grown).toEqual([
    [1, undefined],
    [2, undefined],
    [1, 3],
  ]);
});

test("waitingFor counts a tenant's own jobs and, for operators only, those of others", async () => {
  const [ahead, id] = [await submit("rival"), await submit("rival")];
  const waitingFor = async (of: string, key: string): Promise<Record<string, unknown>> =>
    (await read(`job/${of}`, key))["waitingFor"] as Record<string, unknown>;
  expect(await waitingFor(ahead, "rival")).toMatchObject({ code: "behind-others", jobsBefore: 1 });
  expect(await waitingFor(id, "rival")).toMatchObject({
    code: "behind-others",
    jobsBefore: 2,
    message: "2 jobs come before it.",
  });
  expect(await waitingFor(id, "rival")).not.toHaveProperty("othersBefore");
  const operators = await submit("operator");
  const { jobsBefore, othersBefore, message } = await waitingFor(operators, "operator");
  expect([jobsBefore, othersBefore]).toEqual([1, expect.any(Number)]);
  expect(othersBefore).toBeGreaterThan(0);
  expect(message).toContain("of other tenants");
});

test("a job that no server takes names the servers by their public names", async () => {
  await api.worker.setState(serverId, "unreachable", `connect ECONNREFUSED ${url}`);
  const id = await submit("studio");
  const messageFor = async (key: string): Promise<string> =>
    ((await read(`job/${id}`, key))["waitingFor"] as { message: string }).message;
  const message = await askUntil(
    () => messageFor("studio"),
    (told) => told.startsWith("No server takes work"),
  );
  expect(message).toMatch(/^No server takes work now: server-[0-9a-f]{8} is unreachable\.$/);
  expect(await messageFor("operator")).toContain(url);
  expect(await textOf("servers", "studio")).not.toMatch(secrets);
  await api.worker.setState(serverId, "online", null);
  await askUntil(
    () => textOf("servers", "studio"),
    (text) => text.includes('"online"'),
  );
});

test("health tells how many servers and workers there are to operators only", async () => {
  const partsFor = async (headers: Record<string, string>): Promise<unknown> =>
    ((await (await api.request("health", { headers })).json()) as { parts: unknown }).parts;
  const figures = { servers: { detail: "1 of 1 online" }, workers: { detail: "1 alive" } };
  const none = { servers: { status: "ok", detail: null }, workers: { status: "ok", detail: null } };
  expect(await partsFor(as("operator"))).toMatchObject(figures);
  for (const headers of [{}, as("studio"), as("nobody")]) expect(await partsFor(headers)).toMatchObject(none);
});

test("a removed job of another tenant was never there, by any path and method", async () => {
  const id = await submit("studio");
  await api.post(`jobs/${id}/cancel`, {}, as("studio"));
  expect((await api.request(`jobs/${id}`, { method: "DELETE", headers: as("studio") })).status).toBe(204);
  const asked: [string, string][] = [
    ...["", "/parameters", "/workflow", "/outputs", "/attempts", "/events"].map((rest): [string, string] => [
      "GET",
      rest,
    ]),
    ["POST", "/cancel"],
    ["POST", "/retry"],
    ["DELETE", ""],
  ];
  for (const [method, rest] of asked) {
    const statusOf = async (key: string, spelled = id): Promise<number> =>
      (await api.request(`jobs/${spelled}${rest}`, { method, headers: as(key) })).status;
    expect([method, rest, await statusOf("rival")]).toEqual([method, rest, 404]);
    expect([method, rest, await statusOf("rival", id.toUpperCase())]).toEqual([method, rest, 404]);
    expect([method, rest, await statusOf("studio")]).toEqual([method, rest, 410]);
  }
});
