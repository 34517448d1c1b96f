import { rm } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type DoorMessage, eventSignal, type LeasedJob } from "@genga/jobs";
import { RedisDoorMessageGiver } from "@genga/queue";
import {
  askUntil,
  buildFailure,
  type Heard,
  nameOf,
  postPrompt,
  SocketClient,
  testServiceUrl,
} from "@genga/testing";
import pg from "pg";
import { pino } from "pino";
import sharp from "sharp";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// Clients with sockets on the door of one API. The test does what a worker does, and says what its server would say.

const tenants = { studio: "key-of-studio", atelier: "key-of-atelier" };
type Tenant = keyof typeof tenants;
let api: ApiUnderTest;
let door: string;
let serverId: string;
let giver: RedisDoorMessageGiver;

beforeAll(async () => {
  const keys = Object.entries(tenants).map(([tenant, key]) => `${tenant}:submit:${key}`);
  api = await startApiUnderTest({ env: { API_KEYS: keys.join(","), COMFYUI_DOOR_PORT: "0" } });
  door = api.doorUrl!;
  serverId = await api.worker.registerServer("http://gpu-1", await recordedDefinitions("core"));
  giver = new RedisDoorMessageGiver({
    ...{ redisUrl: testServiceUrl("TEST_REDIS_URL"), prefix: api.env["REDIS_PREFIX"]! },
    logger: pino({ enabled: false }),
  });
});
afterAll(async () => {
  await giver.close();
  await api.stop();
});

const bearer = (tenant: Tenant): Record<string, string> => ({ authorization: `Bearer ${tenants[tenant]}` });
const connect = (
  clientId: string,
  { tenant = "studio", url = door, ...options }: ConnectOptions = {},
): Promise<SocketClient> => SocketClient.open(url, clientId, { headers: bearer(tenant), ...options });

interface ConnectOptions {
  tenant?: Tenant;
  url?: string;
  flags?: boolean;
  autoPong?: boolean;
  maxPendingAutoPongs?: number;
}

let color = 0;
function graphOf(saving = "SaveImage"): object {
  color += 1;
  const prefix = saving === "SaveImage" ? { filename_prefix: "door" } : {};
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "7": { class_type: saving, inputs: { images: ["1", 0], ...prefix } },
  };
}
const post = (clientId: string, tenant: Tenant = "studio", saving?: string): Promise<string> =>
  postPrompt(door, { prompt: graphOf(saving), client_id: clientId }, bearer(tenant));

async function tenantId(tenant: Tenant): Promise<string> {
  const [owner] = await api.database.tenants.ensureTenants([tenant]);
  return owner!.id;
}
async function run(promptId: string, tenant: Tenant = "studio"): Promise<LeasedJob> {
  const [prompt] = await api.database.doorPrompts.findByPromptIds(await tenantId(tenant), [promptId]);
  return api.worker.claim(prompt!.jobId, serverId);
}
/** The clients' ends that are yet to be told. */
async function untold(clientId: string): Promise<string[]> {
  const ends = await api.database.doorClients.listUntold(
    await tenantId("studio"),
    { clientIds: [clientId] },
    1_000,
  );
  return ends.map(({ jobId }) => jobId);
}
const untilAllTold = (clientId: string): Promise<unknown> =>
  askUntil(
    () => untold(clientId),
    (jobIds) => jobIds.length === 0,
  );

/** The prompt is completed in the database, and no signal tells of it. */
async function recordEnd(leased: LeasedJob) {
  const about = { prompt_id: leased.door!.promptId, timestamp: 1 };
  const messages = [
    ["execution_start", about],
    ["execution_cached", { ...about, nodes: [] }],
    ["execution_success", about],
  ];
  const entry = { outputs: { 7: { text: ["done"] } }, status: { messages }, meta: {} };
  const end = { kind: "completed" as const, outputs: [] };
  const result = await api.database.jobRuns.endAttempt(leased, end, JSON.stringify(entry));
  if (!result.held) throw new Error("The lease was lost.");
  return result;
}

/** Says what a server says of a prompt: each message as its type and its node. */
function say(leased: LeasedJob, ...messages: string[]): void {
  const { jobId, attempt, promptId: serverPromptId, job } = leased;
  for (const message of messages) {
    const [type, node] = message.split(" ") as [string, string | undefined];
    const about = { jobId, attempt, serverPromptId };
    const data = { prompt_id: serverPromptId, ...(node !== undefined && { node }) };
    const text: DoorMessage = {
      ...{ ...about, kind: "text", type, json: JSON.stringify({ type, data }) },
      ...(node !== undefined && { node }),
    };
    giver.publish(job.tenantId, type === "ended" ? { ...about, kind: "ended" } : text);
  }
}

const begin = ["execution_start", "execution_cached"];
const steps = ["executing 1", "progress 1", "executing 7"];
const whole = [...begin, ...steps, "executed 7", "execution_success", "executing null"];

test("a client whose id has a NUL is refused, and those that come later are greeted", async () => {
  await expect(connect("\0")).rejects.toThrow("The socket closed");
  await (await connect("after")).close();
});

describe("a prompt that has ended before its server's messages are read", () => {
  test("is told with all of its steps when the first one comes only then", async () => {
    const client = await connect("short");
    const promptId = await post("short");
    const leased = await run(promptId);
    await recordEnd(leased);
    say(leased, ...begin, ...steps, "ended");
    expect((await client.untilEnd(promptId)).map(nameOf)).toEqual(whole);
    await client.close();
  });

  test("is told with the steps that come while its end is being read", async () => {
    const [client, other] = await Promise.all([connect("read"), connect("read", { tenant: "atelier" })]);
    const [promptId, otherId] = await Promise.all([post("read"), post("read", "atelier")]);
    const [leased, otherRun] = [await run(promptId), await run(otherId, "atelier")];
    say(leased, ...begin);
    await client.until(({ type }) => type === "execution_cached");
    const { event, job } = await recordEnd(leased);
    await whileLocked("workflows", async (untilWaitedFor) => {
      api.signals.publish("job", eventSignal(event, job));
      await untilWaitedFor();
      say(leased, ...steps, "ended");
      // What comes to another tenant over the same connection has come later.
      say(otherRun, "execution_start");
      await other.until(({ type }) => type === "execution_start");
    });
    expect((await client.untilEnd(promptId)).map(nameOf)).toEqual(whole);
    await Promise.all([client.close(), other.close()]);
  });

  test("is not told of any more by a process that did not tell its end", async () => {
    const first = await connect("moved");
    const promptId = await post("moved");
    const leased = await run(promptId);
    say(leased, ...begin);
    await first.until(({ type }) => type === "execution_cached");
    const { event, job } = await recordEnd(leased);
    api.signals.publish("job", eventSignal(event, job));
    await first.untilEnd(promptId);
    await untilAllTold("moved");
    await first.close();
    const another = await api.startAnother();
    const second = await connect("moved", { url: another.doorUrl! });
    say(leased, ...steps, "ended");
    const nextId = await post("moved");
    const next = await run(nextId);
    say(next, ...begin, ...steps, "ended");
    const end = await recordEnd(next);
    api.signals.publish("job", eventSignal(end.event, end.job));
    expect((await second.untilEnd(nextId)).map(nameOf)).toEqual(whole);
    expect(second.of(promptId)).toEqual([]);
    await second.close();
  });
});

test("a prompt that waits again after its server was lost keeps no other of its client waiting", async () => {
  const client = await connect("requeued");
  const [firstId, secondId] = [await post("requeued"), await post("requeued")];
  const [first, second] = [await run(firstId), await run(secondId)];
  say(first, ...begin, "executing 1");
  await client.until(({ type, data }) => type === "executing" && data["node"] === "1");
  const { event, job } = await recordEnd(second);
  api.signals.publish("job", eventSignal(event, job));
  const failure = buildFailure({ code: "server-lost" });
  const requeue = { kind: "requeue" as const, failure, delayMs: 0, charged: false, avoidServer: false };
  const lost = await api.database.jobRuns.endAttempt(first, requeue);
  if (!lost.held) throw new Error("The lease was lost.");
  api.signals.publish("job", eventSignal(lost.event, lost.job));
  const ofSecond = (await client.untilEnd(secondId)).map(nameOf);
  expect(ofSecond).toEqual([...begin, "executed 7", "execution_success", "executing null"]);
  const again = await run(firstId);
  say(again, ...begin, ...steps, "ended");
  const end = await recordEnd(again);
  api.signals.publish("job", eventSignal(end.event, end.job));
  expect((await client.untilEnd(firstId)).map(nameOf)).toEqual([...begin, "executing 1", ...whole]);
  await client.close();
});

/** Nobody else reads this table meanwhile. Of graphs the door reads only those of prompts that have ended. */
async function whileLocked(
  table: string,
  act: (untilWaitedFor: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    const waiting = "SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted";
    await act(() =>
      askUntil(
        () => client.query(waiting, [table]),
        ({ rowCount }) => rowCount !== 0,
      ),
    );
  } finally {
    await client.end();
  }
}

describe("a client that missed many ends", () => {
  const endsMax = 100;
  /** Pings that it has not answered at one time. */
  const unansweredMax = 16;

  async function missEnds(clientId: string): Promise<string[]> {
    const promptIds = await Promise.all(Array.from({ length: endsMax }, () => post(clientId)));
    for (const promptId of promptIds) await recordEnd(await run(promptId));
    return promptIds;
  }

  // `ws` cuts a connection that has more pings to answer at once than it has room for: 60, unless a program says otherwise.
  test.each<[string, string, { maxPendingAutoPongs?: number }]>([
    ["as most programs do", "pings", {}],
    ["with room for few pings", "few-pings", { maxPendingAutoPongs: unansweredMax }],
  ])("is told each once, on one connection, %s", async (_title, clientId, room) => {
    const promptIds = await missEnds(clientId);
    const client = await connect(clientId, room);
    for (const promptId of promptIds) {
      const names = (await client.untilEnd(promptId)).map(nameOf);
      expect(names).toEqual([...begin, "executed 7", "execution_success", "executing null"]);
    }
    await untilAllTold(clientId);
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    expect(client.heard.filter(({ type }) => type === "execution_success")).toHaveLength(endsMax);
    await client.close();
  });

  test("is told all of them before it answers a ping, and each counts as told when it has answered", async () => {
    const promptIds = await missEnds("late-pongs");
    const client = await connect("late-pongs", { autoPong: false });
    const unanswered: Buffer[] = [];
    client.socket.on("ping", (data: Buffer) => unanswered.push(data));
    for (const promptId of promptIds) await client.untilEnd(promptId);
    expect(await untold("late-pongs")).toHaveLength(endsMax);
    expect(unanswered).toHaveLength(unansweredMax);
    client.socket.on("ping", (data: Buffer) => {
      client.socket.pong(data);
    });
    for (const data of unanswered) client.socket.pong(data);
    await untilAllTold("late-pongs");
    await client.close();
  });
});

describe("an end that is told later", () => {
  const png = (background: string): Promise<Buffer> =>
    sharp({ create: { width: 16, height: 16, channels: 4, background } })
      .png()
      .toBuffer();

  test.each([
    ["with metadata of previews", true, "binary 4 image/png 7"],
    ["without", false, "binary 1 image/png"],
  ])("has the pictures of SaveImageWebsocket before it, but those that are lost, %s", async (...row) => {
    const [, flags, picture] = row;
    const clientId = `missed-${String(flags)}`;
    const promptId = await post(clientId, "studio", "SaveImageWebsocket");
    const leased = await run(promptId);
    const bodies = await Promise.all(["#ff0000", "#00ff00", "#0000ff"].map(png));
    const files = bodies.map((body, index) => ({ filename: `door_0000${index}_.png`, body }));
    await api.worker.complete(leased, files);
    const outputs = await api.database.jobReader.of(await tenantId("studio")).listOutputs(leased.jobId);
    await rm(path.join(api.env["DATA_DIR"]!, "outputs", outputs[1]!.storageKey!));
    const client = await connect(clientId, { flags });
    await client.untilEnd(promptId);
    const from = client.heard.findIndex(({ type }) => type === "execution_start");
    const told = client.heard.slice(from).filter(({ type }) => type !== "status");
    expect(told.map(nameOf)).toEqual([
      ...[...begin, "executing 7", picture, picture, "execution_success", "executing null"],
    ]);
    const pictures = told.flatMap(({ bytes }: Heard) => (bytes === undefined ? [] : [Buffer.from(bytes)]));
    expect(pictures).toEqual([bodies[0], bodies[2]]);
    await client.close();
  });

  test("has the picture of ETN_SendImageWebSocket without metadata, and then what the node returns", async () => {
    const promptId = await post("krita", "studio", "ETN_SendImageWebSocket");
    const leased = await run(promptId);
    const body = await png("#ff0000");
    await api.worker.complete(leased, [{ filename: "door_00001_.png", body }]);
    const client = await connect("krita", { flags: true });
    const told = await client.untilEnd(promptId);
    const from = client.heard.indexOf(told[0]!);
    expect(
      client.heard
        .slice(from)
        .filter(({ type }) => type !== "status")
        .map(nameOf),
    ).toEqual([
      ...[...begin, "executing 7", "binary 1 image/png", "executed 7", "execution_success", "executing null"],
    ]);
    const picture = { source: "websocket", "content-type": "image/png", type: "output" };
    const output = { images: [picture] };
    expect(told.find(({ type }) => type === "executed")?.data).toMatchObject({ output });
    const history = await fetch(`${door}/history/${promptId}`, { headers: bearer("studio") });
    expect(await history.json()).toMatchObject({
      [promptId]: {
        outputs: { 7: output },
        meta: { 7: { node_id: "7", display_node: "7", parent_node: null, real_node_id: "7" } },
      },
    });
    await client.close();
  });
});
