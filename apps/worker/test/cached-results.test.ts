import { randomInt } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  ApiClient,
  quickSimulator,
  startSimulatorProcess,
  startStack,
  type JobAnswer,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import { createMigratedDatabase } from "./support/test-stack.ts";

// A server gives results of nodes to every prompt with the same nodes. Two tenants, one server: a simulator, or the real one
// that REAL_COMFYUI_URL names (started for this, with fixtures/telling_nodes.py among its custom nodes).

const serverUrl = process.env["REAL_COMFYUI_URL"];
const keys = { owner: "key-of-studio", curious: "key-of-atelier" };
const secret = "comfyui-4711-secret-words";
/** No other text of the test contains it. */
const marker = "zanzibar";

describe(`results that ${serverUrl === undefined ? "a simulated" : "a real"} server keeps`, () => {
  let database: TestDatabase;
  let stack: Stack;
  let owner: ApiClient;
  let curious: ApiClient;

  beforeAll(async () => {
    database = await createMigratedDatabase();
    const args = [...quickSimulator, "--node-packs", "core,recording-nodes,telling-nodes"];
    const simulator =
      serverUrl === undefined
        ? await startSimulatorProcess(["--port", "0", "--cache", "every-prompt", ...args])
        : undefined;
    stack = await startStack({
      databaseUrl: database.url,
      simulators: 0,
      env: {
        SECRETS_KEY: "Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISE=",
        API_KEYS: `studio:${keys.owner},atelier:${keys.curious}`,
        COMFYUI_URLS: serverUrl ?? simulator?.url ?? "",
      },
    });
    if (simulator !== undefined) stack.simulators.push(simulator);
    [owner, curious] = [new ApiClient(stack.url, keys.owner), new ApiClient(stack.url, keys.curious)];
  }, 180_000);
  afterAll(async () => {
    await stack.stop();
    await database.drop();
  }, 180_000);

  async function run(client: ApiClient, body: object): Promise<JobAnswer> {
    const job = await client.untilEnded(await client.submit({ type: "workflow", ...body }));
    expect([job.status, job.failure]).toEqual(["completed", null]);
    return job;
  }

  async function textsOf(client: ApiClient, body: object): Promise<unknown[]> {
    const outputs = await client.outputs((await run(client, body)).id);
    return outputs.map((output) => ("text" in output ? output.text : null));
  }

  /** All bytes of the files of a job that ran by this body. */
  async function filesOf(client: ApiClient, body: object): Promise<Buffer> {
    const files = (await client.outputs((await run(client, body)).id)).filter(
      ({ filename }) => filename !== null,
    );
    expect(files).toHaveLength(1);
    const answers = files.map(({ id }) => client.request("GET", `outputs/${id}`));
    return Buffer.concat(
      await Promise.all(answers.map(async (answer) => Buffer.from(await (await answer).arrayBuffer()))),
    );
  }

  test("of a preview do not hand the graph and notes of one tenant to another that repeats a part of the graph", async () => {
    const shared = {
      "1": {
        class_type: "EmptyImage",
        inputs: { width: 64, height: 64, batch_size: 1, color: randomInt(0xffffff) },
      },
      "2": { class_type: "PreviewImage", inputs: { images: ["1", 0] } },
    };
    const own = {
      "3": { class_type: "PrimitiveString", inputs: { value: `${marker} meets the dragon` } },
      "4": { class_type: "PreviewAny", inputs: { source: ["3", 0] } },
    };
    const ownersFile = await filesOf(owner, {
      workflow: { ...shared, ...own },
      keepPreviews: true,
      extraData: { extra_pnginfo: { workflow: { nodes: [], links: [] }, note: `${marker} film` } },
    });
    expect(ownersFile.includes(`${marker} meets the dragon`)).toBe(true);
    expect(ownersFile.includes(`${marker} film`)).toBe(true);
    const othersFile = await filesOf(curious, { workflow: shared, keepPreviews: true });
    expect(othersFile.includes("PreviewImage")).toBe(true);
    expect(othersFile.includes(marker)).toBe(false);
  }, 180_000);

  test("and the names of a tenant's previews do not tell those of another's, which the same node has made", async () => {
    const preview = (color: number): object => ({
      keepPreviews: true,
      workflow: {
        "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
        "2": { class_type: "PreviewImage", inputs: { images: ["1", 0] } },
      },
    });
    const own = await run(curious, preview(randomInt(0xffffff)));
    await run(owner, preview(randomInt(0xffffff)));
    const [ownPreview] = await curious.outputs(own.id);
    const [name = "", count = ""] = (ownPreview?.filename ?? "").split(/(?=\d{5}_)/);
    expect([name, count]).toEqual([
      expect.stringMatching(/^ComfyUI_temp_/),
      expect.stringMatching(/^\d{5}_\.png$/),
    ]);
    const made = Number(count.slice(0, 5));
    for (const next of [made - 1, made + 1, made + 2]) {
      const guess = `${name}${count.replace(/^\d{5}/, String(next).padStart(5, "0"))} [temp]`;
      const job = await curious.untilEnded(
        await curious.submit({
          type: "workflow",
          workflow: {
            "1": {
              class_type: "StringConcatenate",
              inputs: { string_a: guess.slice(0, -4), string_b: guess.slice(-4), delimiter: "" },
            },
            "2": { class_type: "OpenByName", inputs: { name: ["1", 0] } },
            "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "copy" } },
          },
        }),
      );
      expect([guess, job.status]).toEqual([guess, "failed"]);
    }
  }, 180_000);

  test("of a node that was given a secret reach no prompt without the same secret, of the tenant or another", async () => {
    const workflow = {
      "1": { class_type: "QuoteKey", inputs: { how: "text" } },
      "2": { class_type: "PreviewAny", inputs: { source: ["1", 0] } },
    };
    const told = (length: number, text: string): string[] => [`length ${length}`, text, text];
    const extraData = { api_key_comfy_org: secret };
    expect(await textsOf(owner, { workflow, extraData })).toEqual(told(secret.length, "Unauthorized: ***"));
    expect(await textsOf(curious, { workflow })).toEqual(told(0, "Unauthorized: None"));
    const otherData = { api_key_comfy_org: "another-key-of-the-studio" };
    expect(await textsOf(owner, { workflow, extraData: otherData })).toEqual(told(25, "Unauthorized: ***"));
  }, 180_000);
});
