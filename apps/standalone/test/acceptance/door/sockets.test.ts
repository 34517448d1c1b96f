import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp, createServer, type AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { isObject } from "@genga/comfyui";
import { migrate } from "@genga/database";
import pg from "pg";
import {
  createTestDatabase,
  type Heard,
  nameOf,
  postPrompt,
  quickSimulator,
  sleepWorkflow,
  SocketClient,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";

const keys = { own: "own-key-0123456789abcdef", other: "other-key-0123456789abcdef" };
const bearer = (key: keyof typeof keys): Record<string, string> => ({ authorization: `Bearer ${keys[key]}` });
let scratch: TestDatabase;
let stack: Stack;
let door: string;
let doorPort: number;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  doorPort = await freePort();
  door = `http://127.0.0.1:${doorPort}`;
  stack = await startStack({
    databaseUrl: scratch.url,
    apis: 0,
    workers: 0,
    simulatorArgs: quickSimulator,
    env: {
      API_KEYS: `own:submit:${keys.own},other:submit:${keys.other}`,
      ...{ COMFYUI_DOOR_PORT: String(doorPort), LEASE_MS: "1500" },
    },
  });
  await Promise.all([stack.startApi(), stack.startWorker()]);
  await untilServing();
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await scratch.drop();
}, 180_000);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The door knows the servers as soon as the worker has read their definitions. */
async function untilServing(): Promise<void> {
  for (;;) {
    const answer = await fetch(`${door}/object_info/EmptyImage`, { headers: bearer("own") }).catch(
      () => null,
    );
    if (answer?.ok === true && (await answer.text()) !== "{}") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const connect = (clientId: string | null, options: { flags?: boolean; key?: keyof typeof keys } = {}) =>
  SocketClient.open(door, clientId, { ...options, headers: bearer(options.key ?? "own") });
const post = (body: Parameters<typeof postPrompt>[1], key: keyof typeof keys = "own"): Promise<string> =>
  postPrompt(door, body, bearer(key));

let serial = Math.floor(Math.random() * 1e6);
/** One output node, so that the order of its messages is always the same. */
function previewedWorkflow(
  saving = "SaveImage",
): Record<string, { class_type: string; inputs: Record<string, unknown> }> {
  serial += 1;
  const image = ["1", 0];
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 2, color: serial } },
    "2": {
      class_type: "ProtoSleep",
      inputs: { image, seconds: 0.2, steps: 3, preview: "jpeg", seed: serial },
    },
    "3": {
      class_type: saving,
      inputs: { images: ["2", 0], ...(saving === "SaveImage" && { filename_prefix: "door" }) },
    },
  };
}

/** What two servers say alike, apart from ids, times, names of files and values of inputs. */
function comparable(heard: readonly Heard[], promptId: string): unknown[] {
  // A client that hears nothing for some seconds is told the same status again.
  const isNews = ({ type, data }: Heard, index: number): boolean =>
    type !== "status" || JSON.stringify(heard[index - 1]?.data) !== JSON.stringify(data);
  const shown = heard.filter(isNews).map(({ type, data }) => {
    const inputs = data["current_inputs"];
    return {
      type,
      data: { ...data, ...(isObject(inputs) && { current_inputs: Object.keys(inputs).toSorted() }) },
    };
  });
  const text = JSON.stringify(shown)
    .replaceAll(promptId, "<prompt>")
    .replaceAll(/"timestamp":\d+/g, '"timestamp":0')
    .replaceAll(/"filename":"[^"]*"/g, '"filename":""');
  return JSON.parse(text) as unknown[];
}

describe("what a client hears of a prompt", () => {
  test.each([
    ["with metadata of previews", { flags: true }],
    ["without", { flags: false }],
  ])("is what it would hear from the server itself, %s", async (_title, { flags }) => {
    const direct = await SocketClient.open(stack.simulators[0]!.url, "direct", { flags });
    const through = await connect("through", { flags });
    const told = [];
    for (const [client, server, headers] of [
      [direct, stack.simulators[0]!.url, {}],
      [through, door, bearer("own")],
    ] as const) {
      const clientId = client === direct ? "direct" : "through";
      const from = client.heard.length;
      const promptId = await postPrompt(
        server,
        { prompt: previewedWorkflow(), client_id: clientId },
        headers,
      );
      await client.untilEnd(promptId);
      told.push(comparable(client.heard.slice(from), promptId));
    }
    const [byServer, byDoor] = told as [unknown[], unknown[]];
    expect(byDoor).toEqual(byServer);
    expect(JSON.stringify(byDoor)).toContain(flags ? "binary 4" : "binary 1");
    await Promise.all([direct.close(), through.close()]);
  });

  test("of its failure is what it would hear from the server itself", async () => {
    const direct = await SocketClient.open(stack.simulators[0]!.url, "failing");
    const through = await connect("failing");
    const told = [];
    for (const [client, server, headers] of [
      [direct, stack.simulators[0]!.url, {}],
      [through, door, bearer("own")],
    ] as const) {
      const promptId = await postPrompt(
        server,
        { prompt: sleepWorkflow(0, { fails: true }), client_id: "failing" },
        headers,
      );
      const heard = await client.untilEnd(promptId);
      told.push(
        comparable(
          heard.filter(({ type }) => type === "execution_error"),
          promptId,
        ),
      );
    }
    const [byServer, byDoor] = told;
    expect(byServer).toHaveLength(1);
    expect(byDoor).toEqual(byServer);
    await Promise.all([direct.close(), through.close()]);
  });

  test("has its files, by names under which the door has them when the end comes", async () => {
    const client = await connect("files");
    const promptId = await post({ prompt: previewedWorkflow(), client_id: "files" });
    const heard = await client.untilEnd(promptId);
    const executed = heard.find(({ type }) => type === "executed")!;
    const { images } = executed.data["output"] as { images: Record<string, string>[] };
    expect(images).toHaveLength(2);
    for (const image of images) {
      expect(image["filename"]).toMatch(/^door_\d{5}_\.png$/);
      const file = await fetch(`${door}/view?${new URLSearchParams(image).toString()}`, {
        headers: bearer("own"),
      });
      expect([file.status, file.headers.get("content-type")]).toEqual([200, "image/png"]);
    }
    const history = (await (
      await fetch(`${door}/history/${promptId}`, { headers: bearer("own") })
    ).json()) as Record<string, { outputs: unknown }>;
    expect(history[promptId]?.outputs).toEqual({ "3": { images } });
    await client.close();
  });

  test("of SaveImageWebsocket has the pictures as binary messages, for its node, before the end", async () => {
    const client = await connect("pictures");
    const promptId = await post({ prompt: previewedWorkflow("SaveImageWebsocket"), client_id: "pictures" });
    await client.untilEnd(promptId);
    let node: unknown;
    const pictures = client.heard.filter((heard) => {
      if (heard.type === "executing") node = heard.data["node"];
      return heard.type === "binary 1 image/png" && node === "3";
    });
    expect(pictures).toHaveLength(2);
    const names = client.heard.map(nameOf);
    expect(names.lastIndexOf("binary 1 image/png")).toBeLessThan(names.indexOf("execution_success"));
    expect(names).not.toContain("executed 3");
    await client.close();
  });
});

describe("a client that comes back", () => {
  test("in mid-prompt hears at once which node runs, and then the rest", async () => {
    const first = await connect("mid");
    const promptId = await post({ prompt: sleepWorkflow(2), client_id: "mid" });
    await first.until(({ type }) => type === "progress");
    await first.close(true);
    const second = await connect("mid");
    await second.untilEnd(promptId);
    expect(second.heard[0]).toMatchObject({ type: "status", data: { sid: "mid" } });
    expect(second.heard[1]).toEqual({ type: "executing", data: { node: "2" } });
    expect(second.heard.map(nameOf)).toEqual(
      expect.arrayContaining(["progress 2", "executed 3", "execution_success"]),
    );
    expect(second.heard.map(nameOf)).not.toContain("execution_start");
    await second.close();
  });

  test("after the end, even days later, is told of it once, before what runs", async () => {
    const first = await connect("late");
    const promptId = await post({ prompt: sleepWorkflow(0.5), client_id: "late" });
    await first.until(({ type }) => type === "execution_start");
    await first.close(true);
    await untilHistory(promptId);
    const client = new pg.Client({ connectionString: scratch.url });
    await client.connect();
    await client.query("UPDATE door_ends SET ended_at = ended_at - interval '3 days'");
    await client.end();
    const running = await post({ prompt: sleepWorkflow(2), client_id: "late" });
    await untilRunning(running);
    const second = await connect("late");
    const heard = (await second.untilEnd(promptId)).map(nameOf);
    await second.untilEnd(running);
    const begun = second.heard.map(({ type, data }) => `${type} ${String(data["prompt_id"])}`);
    const missedAt = begun.lastIndexOf(`executing ${promptId}`);
    expect(begun.lastIndexOf(`execution_start ${running}`)).toBeGreaterThan(missedAt);
    expect(heard).toEqual(expect.arrayContaining(["executed 3", "execution_success", "executing null"]));
    await second.close();
    const third = await connect("late");
    const next = await post({ prompt: sleepWorkflow(0), client_id: "late" });
    await third.untilEnd(next);
    expect(third.of(promptId)).toEqual([]);
    await third.close();
  });

  test("while its older socket is still open is served on the newer one alone", async () => {
    const [older, newer] = [await connect("twice"), await connect("twice")];
    const promptId = await post({ prompt: sleepWorkflow(0), client_id: "twice" });
    await newer.untilEnd(promptId);
    expect(older.of(promptId)).toEqual([]);
    await older.close();
    const next = await post({ prompt: sleepWorkflow(0), client_id: "twice" });
    await newer.untilEnd(next);
    await newer.close();
  });
});

async function untilRunning(promptId: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${door}/api/jobs/${promptId}`, { headers: bearer("own") });
    if (((await answer.json()) as { status: string }).status === "in_progress") return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function untilHistory(promptId: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${door}/history/${promptId}`, { headers: bearer("own") }).catch(() => null);
    if (answer?.ok === true && (await answer.text()).trim() !== "{}") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a client that is refused and resets its connection harms nobody", async () => {
  const client = connectTcp(doorPort, "127.0.0.1");
  await once(client, "connect");
  const lines = [
    `GET /ws?clientId=${"x".repeat(1_001)} HTTP/1.1`,
    ...["host: 127.0.0.1", "connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"],
    ...["sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", `authorization: ${bearer("own")["authorization"]!}`],
  ];
  client.write(`${lines.join("\r\n")}\r\n\r\n`);
  const [answer] = (await once(client, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
  client.resetAndDestroy();
  // The process is the same one, and serves on.
  const other = await connect("beside");
  const promptId = await post({ prompt: sleepWorkflow(0), client_id: "beside" });
  await other.untilEnd(promptId);
  await other.close();
});

describe("no end is lost", () => {
  test("when the worker is killed in mid-prompt", async () => {
    const client = await connect("killed");
    const promptId = await post({ prompt: sleepWorkflow(2), client_id: "killed" });
    await client.until(({ type }) => type === "progress");
    stack.workers.at(-1)!.signal("SIGKILL");
    await stack.startWorker();
    const names = (await client.untilEnd(promptId)).map(nameOf);
    expect(names.filter((name) => name === "execution_start").length).toBeLessThanOrEqual(2);
    expect(names.filter((name) => name === "execution_success")).toHaveLength(1);
    expect(names.filter((name) => name === "executed 3")).toHaveLength(1);
    await client.close();
  });

  test("when the API is restarted in mid-prompt", async () => {
    const first = await connect("restart");
    const promptId = await post({ prompt: sleepWorkflow(1), client_id: "restart" });
    await first.until(({ type }) => type === "progress");
    stack.apis.at(-1)!.signal("SIGKILL");
    await first.closed;
    await stack.startApi();
    await untilHistory(promptId);
    const second = await connect("restart");
    const names = (await second.untilEnd(promptId)).map(nameOf);
    expect(names).toEqual(expect.arrayContaining(["executed 3", "execution_success"]));
    await second.close();
  });
});

describe("who hears what", () => {
  test("another tenant with the same ids hears only of its own prompt", async () => {
    const promptId = randomUUID();
    const [own, other] = [await connect("same"), await connect("same", { key: "other" })];
    const say = (text: string): object => ({
      "1": { class_type: "PreviewAny", inputs: { source: text } },
    });
    await post({ prompt: say("of own"), client_id: "same", prompt_id: promptId });
    await post({ prompt: say("of other"), client_id: "same", prompt_id: promptId }, "other");
    const told = await Promise.all([own.untilEnd(promptId), other.untilEnd(promptId)]);
    expect(JSON.stringify(told[0])).toContain("of own");
    expect(JSON.stringify(told[0])).not.toContain("of other");
    expect(JSON.stringify(told[1])).toContain("of other");
    expect(JSON.stringify(told[1])).not.toContain("of own");
    await Promise.all([own.close(), other.close()]);
  });

  test("a prompt without a client id is told to no other tenant, and to its own only as progress", async () => {
    const [own, other] = [await connect("bystander"), await connect("bystander", { key: "other" })];
    const from = other.heard.length;
    const promptId = await post({ prompt: sleepWorkflow(0.2) });
    await untilHistory(promptId);
    await own.until(({ type }) => type === "progress");
    expect(new Set(own.of(promptId).map(({ type }) => type))).toEqual(
      new Set(["progress", "progress_state"]),
    );
    expect(other.heard.slice(from)).toEqual([]);
    await Promise.all([own.close(), other.close()]);
  });

  test.each([
    ["a page of another origin", { origin: "http://elsewhere.example", ...bearer("own") }, 403],
    ["a wrong key", { authorization: "Bearer wrong-key-0123456789" }, 401],
    ["no key", {}, 401],
  ])("nothing is served to %s", async (_title, headers, status) => {
    const refused = await SocketClient.open(door, "refused", { headers }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Error);
    const answer = await fetch(`${door}/ws`, { headers }).catch(() => null);
    expect(answer?.status).toBe(status);
  });
});
