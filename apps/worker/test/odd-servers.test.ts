import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import {
  ApiClient,
  quickSimulator,
  sleepWorkflow,
  startSimulatorProcess,
  startStack,
  type Stack,
  type TestDatabase,
  askUntil,
} from "@genga/testing";
import pg from "pg";
import { startOddComfyUI, type OddComfyUI } from "./support/odd-comfyui.ts";
import { createMigratedDatabase } from "./support/test-stack.ts";

// Two servers: what is known of the odd one may be wrong; the rare one also has another checkpoint.

let database: TestDatabase;
let stack: Stack;
let api: ApiClient;
let odd: OddComfyUI;
let rareId: string;

beforeAll(async () => {
  database = await createMigratedDatabase();
  const start = (...args: string[]) => startSimulatorProcess(["--port", "0", ...quickSimulator, ...args]);
  const simulators = await Promise.all([start(), start("--checkpoints", "rare.safetensors")]);
  odd = await startOddComfyUI(simulators[0].url);
  const urls = [odd.url, simulators[1].url];
  stack = await startStack({
    databaseUrl: database.url,
    env: { COMFYUI_URLS: urls.join(","), SERVER_GRACE_MS: "2000", SERVER_RETIRE_MS: "0" },
    simulators: 0,
  });
  stack.simulators.push(...simulators);
  api = new ApiClient(stack.url);
  for (const url of urls) await stack.workers[0]!.line(new RegExp(`"server":"${url}".*server takes work`));
  const { servers } = (await (await api.request("GET", "servers")).json()) as {
    servers: { id: string; url: string }[];
  };
  rareId = servers.find(({ url }) => url === urls[1])!.id;
}, 180_000);

afterEach(() => {
  odd.refuse = null;
  odd.alter = null;
});

afterAll(async () => {
  await stack.stop();
  await odd.close();
  await database.drop();
}, 180_000);

/** Between two questions: what is waited for needs the processor too. */
const betweenMs = 50;

const image = (model: string): object => ({
  ...{ type: "image", prompt: "a heron", width: 256, height: 256, steps: 1, model },
});

/** The odd server claims to have these checkpoints. */
function pretend(...checkpoints: string[]): void {
  const list = ["counterfeit_v3.safetensors", ...checkpoints].map((name) => JSON.stringify(name)).join(",");
  odd.alter = (path, body) =>
    path === "/object_info" ? body.replaceAll('"counterfeit_v3.safetensors"', list) : body;
}

/** The truth comes out with the first prompt. */
function stopPretendingInTime(): void {
  odd.refuse = (method, path) => {
    if (method === "POST" && path === "/prompt") odd.alter = null;
    return undefined;
  };
}

/** A refusal makes the API ask for the servers' definitions again, every few seconds at most. */
async function submitWhenKnown(checkpoint: string): Promise<string> {
  for (;;) {
    const response = await api.request("POST", "generate", image(checkpoint));
    const body = (await response.json()) as { id: string };
    if (response.status === 202) return body.id;
    expect(response.status).toBe(422);
    await sleep(betweenMs);
  }
}

/** Runs something while only the odd server takes new work; the worker knows before it begins and after it ends. */
async function onOddServer(work: () => Promise<void>): Promise<void> {
  await askRare("drain", "server is draining");
  try {
    await work();
  } finally {
    await askRare("resume", "server is resumed");
  }
}

async function askRare(what: "drain" | "resume", told: string): Promise<void> {
  const timesTold = (): number => stack.workers[0]!.lines.filter((line) => line.includes(told)).length;
  const before = timesTold();
  await api.request("POST", `servers/${rareId}/${what}`);
  while (timesTold() === before) await sleep(betweenMs);
}

async function attemptsOf(id: string): Promise<unknown> {
  const { attempts } = (await (await api.request("GET", `jobs/${id}/attempts`)).json()) as {
    attempts: object[];
  };
  return attempts;
}

describe("a refusal by one server", () => {
  test("that was known to be able takes the job to another one, uncharged", async () => {
    let id = "";
    await onOddServer(async () => {
      pretend("rare.safetensors", "marker.safetensors");
      await api.cancel(await submitWhenKnown("marker.safetensors"));
      stopPretendingInTime();
      id = await api.submit(image("rare.safetensors"));
      await stack.workers[0]!.line(new RegExp(`${id}.*attempt failed`));
    });
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2, failure: null });
    expect(await attemptsOf(id)).toMatchObject([
      { outcome: "requeued", failure: { class: "invalid", code: "prompt-refused" } },
      { outcome: "completed" },
    ]);
  }, 180_000);

  test("fails the job with the server's words when no known server can run it any more", async () => {
    pretend("ghost.safetensors");
    stopPretendingInTime();
    const job = await api.untilEnded(await submitWhenKnown("ghost.safetensors"));
    expect(job).toMatchObject({
      ...{ status: "failed", attempt: 1 },
      failure: { class: "invalid", code: "prompt-refused", message: expect.stringMatching(/ghost/) },
    });
  }, 180_000);

  test("fails the job also where a server could run it that no worker names any more", async () => {
    const left = await startSimulatorProcess([
      ...["--port", "0", ...quickSimulator],
      ...["--checkpoints", "left.safetensors"],
    ]);
    stack.simulators.push(left);
    const worker = await stack.startWorker({ COMFYUI_URLS: left.url });
    await api.untilEnded(await submitWhenKnown("left.safetensors"));
    expect(await worker.stop()).toBe(0);
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(
      "UPDATE workers SET last_seen_at = now() - interval '1 hour' WHERE stopped_at IS NOT NULL",
    );
    await client.end();
    const isRetired = async (): Promise<boolean> =>
      (await (await api.request("GET", "servers")).text()).includes('"retired"');
    while (!(await isRetired())) await sleep(betweenMs);

    pretend("left.safetensors");
    stopPretendingInTime();
    const job = await api.untilEnded(await submitWhenKnown("left.safetensors"));
    expect(job).toMatchObject({
      ...{ status: "failed", attempt: 1 },
      failure: { class: "invalid", code: "prompt-refused" },
    });
  }, 180_000);

  test("fails the job when it comes again although the definitions allow it", async () => {
    pretend("phantom.safetensors");
    const job = await api.untilEnded(await submitWhenKnown("phantom.safetensors"));
    expect(job).toMatchObject({ status: "failed", attempt: 2, failure: { class: "invalid" } });
  }, 180_000);

  test("without a word (a bare 500, and no prompt) is told as such, and the job tried again", async () => {
    await onOddServer(async () => {
      let left = 1;
      odd.refuse = (method, path) =>
        method === "POST" && path === "/prompt" && left-- > 0
          ? { status: 500, body: "500 Internal Server Error\n\nServer got itself in trouble" }
          : undefined;
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
      const failure = { class: "invalid", code: "prompt-refused", message: expect.stringMatching(/500/) };
      expect(await attemptsOf(id)).toMatchObject([
        { outcome: "requeued", failure },
        { outcome: "completed" },
      ]);
    });
  }, 180_000);

  test.each([
    [404, "bad-reply"],
    [405, "bad-reply"],
    [302, "access-denied"],
  ])(
    "is none of the graph when it is an HTTP %s, but %s",
    async (status, code) => {
      let isWrong = true;
      odd.refuse = (method, path) => {
        if (!isWrong || method !== "POST" || path !== "/prompt") return undefined;
        isWrong = false;
        return { status, body: "not here" };
      };
      await api.request("POST", `servers/${rareId}/drain`);
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
      await stack.workers[0]!.line(new RegExp(`${id}.*attempt failed`));
      await api.request("POST", `servers/${rareId}/resume`);
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
      expect(await attemptsOf(id)).toMatchObject([
        { outcome: "requeued", failure: { class: "server", code } },
        { outcome: "completed" },
      ]);
    },
    180_000,
  );
});

test("what a server can is probed when it comes back, shown in its row, and its replacements are kept", async () => {
  interface Row {
    url: string;
    version: string | null;
    abilities: object | null;
  }
  const rowOf = async (url: string): Promise<Row> => {
    const { servers } = (await (await api.request("GET", "servers")).json()) as { servers: Row[] };
    return servers.find((server) => server.url === url)!;
  };
  expect(await rowOf(odd.url)).toMatchObject({ abilities: { namesPreviews: true } });
  const replacements = { Old: [{ new_node_id: "SaveImage", input_mapping: null, output_mapping: null }] };
  const answers: Record<string, object> = {
    "GET /features": { supports_preview_metadata: true, node_replacements: true, assets: true },
    "GET /node_replacements": replacements,
    "POST /api/jobs/00000000-0000-0000-0000-000000000000/cancel": { cancelled: false },
  };
  odd.refuse = (method, path) => {
    const own = answers[`${method} ${path}`];
    return own === undefined ? undefined : { status: 200, body: JSON.stringify(own) };
  };
  odd.alter = (path, body) => (path === "/system_stats" ? body.replace(/"0\.\d+\.\d+"/, '"9.9.9"') : body);
  const row = await askUntil(
    () => rowOf(odd.url),
    ({ version }) => version === "9.9.9",
  );
  expect(row.abilities).toEqual({
    ...{ cancelsById: true, namesPreviews: true, replacesNodes: true, hasAssets: true, uploadBytesMax: null },
  });
  // A refusal has the definitions read again (not too often, and it waits only so long), and those of another hash are stored.
  const stored = "SELECT replacements FROM node_definitions WHERE replacements ->> 'Old' IS NOT NULL";
  const kept = await askUntil<unknown>(
    async () => {
      expect((await api.request("POST", "generate", image("unheard-of.safetensors"))).status).toBe(422);
      return first(stored);
    },
    (found) => found !== undefined,
  );
  expect(kept).toEqual({ replacements });
}, 180_000);

describe("a server that gives up a node and goes on", () => {
  test("completes the job, which keeps what was said as a warning", async () => {
    await onOddServer(async () => {
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(1) });
      await api.until(id, (job) => job.phase === "executing");
      const [attempt] = (await attemptsOf(id)) as { promptId: string }[];
      odd.say({
        type: "execution_error",
        data: {
          ...{ prompt_id: attempt!.promptId, node_id: "9", node_type: "SaveImage", executed: ["1"] },
          ...{
            exception_message: "Execution Blocked: no face was found",
            exception_type: "ExecutionBlocked",
          },
          ...{ traceback: [], current_inputs: [], current_outputs: [] },
        },
      });
      const warnings = ["Node 9 (SaveImage) was blocked, and what it makes is missing: no face was found"];
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", failure: null, warnings });
      expect(await api.outputs(id)).toHaveLength(1);
      const told: unknown[] = [];
      for await (const frame of api.events(id, { lastEventId: "1" })) told.push(frame.data);
      expect(told.at(-1)).toMatchObject({ type: "completed", data: { outputs: 1, warnings } });
    });
  }, 180_000);
});

describe("a server whose answers make no sense", () => {
  test("about anything that ended takes no work, says why, and loses its jobs to another one", async () => {
    let id = "";
    await onOddServer(async () => {
      id = await api.submit({ type: "workflow", workflow: sleepWorkflow(3) });
      await api.until(id, (job) => job.phase === "executing");
      odd.alter = (path, body) => (path.startsWith("/history") ? "<html>" : body);
      await stack.workers[0]!.line(/"reason":"[^"]*\/history.*server takes no work/);
    });
    // The row follows what the worker said, and the API looks at it now and then.
    const rowNow = async (): Promise<{ state: string }> => {
      const { servers } = (await (await api.request("GET", "servers")).json()) as {
        servers: { url: string; state: string }[];
      };
      return servers.find(({ url }) => url === odd.url)!;
    };
    const row = await askUntil(rowNow, ({ state }) => state === "unreachable");
    expect(row).toMatchObject({ stateReason: expect.stringMatching(/history/) });
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
    odd.alter = null;
    await stack.workers[0]!.line(new RegExp(`"server":"${odd.url}".*"state":"probing".*server takes work`));
  }, 180_000);

  test.each([false, true])(
    "about one prompt that ended fails that job (its POST without a reply: %s)",
    async (isReplyLost) => {
      await onOddServer(async () => {
        if (isReplyLost) await stack.simulators[0]!.fault({ kind: "lose-next-prompt-reply", next: 1 });
        odd.alter = (path, body) =>
          path.startsWith("/history/") ? body.replace(/"outputs":\s*\{/, "$&7: 7,") : body;
        const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
        expect(await api.untilEnded(id)).toMatchObject({
          ...{ status: "failed", attempt: 1 },
          failure: { class: "execution", code: "result-unreadable" },
        });
      });
    },
    180_000,
  );

  test("is none when Python wrote NaN into it: definitions, queue and history are read all the same", async () => {
    await onOddServer(async () => {
      const path = "/object_info";
      odd.alter = (which, body) => {
        if (which === path) return body.replace("{", '{"Endless": {"input": {"required": {"max": [NaN]}}},');
        if (which === "/queue") {
          return body.replace(
            /"queue_pending":\s*\[/,
            '$&[NaN, "of-another", {"2": {"inputs": {"value": NaN}}}]',
          );
        }
        return which.startsWith("/history/")
          ? body.replace(/"outputs":\s*\{/, '$&"9": {"value": [NaN, -Infinity]},')
          : body;
      };
      // A refusal has the definitions read again.
      expect((await api.request("POST", "generate", image("unheard-of.safetensors"))).status).toBe(422);
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
      expect(await api.outputs(id)).toHaveLength(1);
    });
    const { servers } = (await (await api.request("GET", "servers")).json()) as { servers: object[] };
    expect(servers).toContainEqual(expect.objectContaining({ url: odd.url, state: "online", isKnown: true }));
  }, 180_000);

  test("is believed again when it makes sense in the moment of giving it up", async () => {
    await onOddServer(async () => {
      let garbled = 0;
      odd.alter = (path, body) => {
        if (!path.startsWith("/history/") || body === "{}" || garbled === 2) return body;
        garbled += 1;
        return "<html>";
      };
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
      expect(garbled).toBe(2);
    });
  }, 180_000);

  test("to whoever wants an output fails that job, and renders it once only", async () => {
    const before = (await stack.simulators[0]!.executions()).length;
    await onOddServer(async () => {
      odd.refuse = (_method, path) => (path.startsWith("/view") ? { status: 403, body: "no" } : undefined);
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
      expect(await api.untilEnded(id)).toMatchObject({
        ...{ status: "failed", attempt: 1 },
        failure: { class: "execution", code: "result-unreadable", message: expect.stringMatching(/403/) },
      });
    });
    expect(await stack.simulators[0]!.executions()).toHaveLength(before + 1);
  }, 180_000);

  test("is looked at until it tells whether a prompt came, and a cancellation meanwhile ends it there", async () => {
    await onOddServer(async () => {
      await stack.simulators[0]!.fault({ kind: "lose-next-prompt-reply", next: 1 });
      const looked = new Promise<void>((resolve) => {
        odd.refuse = (method, path) => {
          if (method !== "POST" || path !== "/prompt") return undefined;
          odd.alter = (which, body) => {
            if (which !== "/queue") return body;
            resolve();
            return "<html>";
          };
          return undefined;
        };
      });
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(30, { steps: 300 }) });
      await looked;
      expect(await api.cancel(id)).toBe(202);
      odd.alter = null;
      expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled", attempt: 1 });
      const queue: unknown = await (await fetch(`${stack.simulators[0]!.url}/queue`)).json();
      expect(queue).toEqual({ queue_running: [], queue_pending: [] });
    });
  }, 180_000);

  test("cancels a job whose prompt never came", async () => {
    await onOddServer(async () => {
      const refused = new Promise<void>((resolve) => {
        odd.refuse = (method, path) => {
          if (method !== "POST" || path !== "/prompt") return undefined;
          resolve();
          return { status: 502, body: "no upstream" };
        };
      });
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
      await refused;
      expect(await api.cancel(id)).toBe(202);
      expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled", attempt: 1 });
    });
  }, 180_000);
});

describe("a server that dies of a prompt before it has said a word of it", () => {
  test("counts as one that crashed with it, also when it did not even answer the POST", async () => {
    await onOddServer(async () => {
      await stack.simulators[0]!.fault({ kind: "lose-next-prompt-reply", next: 1 });
      await dieSilently(1);
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0.5) });
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
      expect(await crashCountOf(id)).toBe(1);
    });
  }, 180_000);

  test("does not count against a prompt that waited behind another one", async () => {
    await onOddServer(async () => {
      const running = await api.submit({ type: "workflow", workflow: sleepWorkflow(4, { steps: 40 }) });
      await api.until(running, (job) => job.phase === "executing");
      const waiting = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
      await api.until(waiting, (job) => job.phase === "submitted");
      await stack.simulators[0]!.fault({ kind: "amnesia" });
      expect(await api.untilEnded(running)).toMatchObject({ status: "completed", attempt: 2 });
      expect(await api.untilEnded(waiting)).toMatchObject({ status: "completed", attempt: 2 });
      expect([await crashCountOf(running), await crashCountOf(waiting)]).toEqual([1, 0]);
    });
  }, 180_000);

  // The last one: three losses in a row are held against the server as well, which gets a pause.
  test("is one of three after which the job is given up", async () => {
    await onOddServer(async () => {
      await dieSilently(3);
      const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(30, { steps: 300 }) });
      expect(await api.untilEnded(id)).toMatchObject({
        ...{ status: "failed", attempt: 3 },
        failure: { code: "poison" },
      });
    });
  }, 180_000);
});

async function crashCountOf(id: string): Promise<unknown> {
  return (await first("SELECT crash_count AS count FROM jobs WHERE id = $1", id))?.["count"];
}

/** The first row that a statement gives. */
async function first(statement: string, ...values: string[]): Promise<Record<string, unknown> | undefined> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement, values)).rows[0];
  } finally {
    await client.end();
  }
}

/** From now on the odd server forgets so many prompts as soon as they run, and nothing that it says of them gets through. */
async function dieSilently(times: number): Promise<void> {
  const simulator = stack.simulators[0]!;
  let begun = (await simulator.executions()).length;
  const until = begun + times;
  const die = async (): Promise<void> => {
    begun += 1;
    await askUntil(
      () => simulator.executions(),
      ({ length }) => length >= begun,
    );
    await simulator.fault({ kind: "amnesia" });
    odd.isMute = false;
  };
  odd.refuse = (method, path) => {
    if (begun === until || method !== "POST" || path !== "/prompt") return undefined;
    odd.isMute = true;
    void die();
    return undefined;
  };
}
