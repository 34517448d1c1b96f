import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  startStack,
  type JobAnswer,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import sharp from "sharp";

// What only a real ComfyUI can show: graphs that build file names at run time. Runs where REAL_COMFYUI_URL names a server
// (0.3.64 or newer, started for this, with fixtures/telling_nodes.py among its custom nodes) and REAL_COMFYUI_DIR its base
// folder.

const { REAL_COMFYUI_URL: serverUrl, REAL_COMFYUI_DIR: serverFolder } = process.env;
const keys = { owner: "key-of-studio", curious: "key-of-atelier" };

(serverUrl === undefined || serverFolder === undefined ? describe.skip : describe)(
  "on a real ComfyUI",
  () => {
    let database: TestDatabase;
    let stack: Stack;
    let owner: ApiClient;
    let curious: ApiClient;

    beforeAll(async () => {
      database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
      const env = {
        SECRETS_KEY: "Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISE=",
        API_KEYS: `studio:${keys.owner},atelier:${keys.curious}`,
        COMFYUI_URLS: serverUrl ?? "",
      };
      stack = await startStack({ databaseUrl: database.url, simulators: 0, env });
      [owner, curious] = [new ApiClient(stack.url, keys.owner), new ApiClient(stack.url, keys.curious)];
    }, 180_000);
    afterAll(async () => {
      await stack.stop();
      await database.drop();
    }, 180_000);

    const save = (images: unknown, prefix: unknown = "copy"): object => ({
      class_type: "SaveImage",
      inputs: { images, filename_prefix: prefix },
    });
    /** A name that no graph spells: put together from two texts. */
    const builtName = (name: string): Record<string, object> => ({
      "10": {
        class_type: "StringConcatenate",
        inputs: { string_a: name.slice(0, 3), string_b: name.slice(3), delimiter: "" },
      },
    });
    const loadBuilt = (name: string): object => ({
      type: "workflow",
      workflow: {
        ...builtName(name),
        "1": { class_type: "OpenByName", inputs: { name: ["10", 0] } },
        "2": save(["1", 0]),
      },
    });

    async function run(client: ApiClient, body: object): Promise<JobAnswer> {
      return client.untilEnded(await client.submit(body));
    }

    async function upload(color: string): Promise<string> {
      const image = sharp({ create: { width: 64, height: 64, channels: 3, background: color } });
      const response = await fetch(`${stack.url}/api/anime/uploads`, {
        method: "POST",
        headers: { "content-type": "image/png", authorization: `Bearer ${keys.owner}` },
        body: new Uint8Array(await image.png().toBuffer()),
      });
      return ((await response.json()) as { name: string }).name;
    }

    const filesOf = async (type: string): Promise<string[]> =>
      (await readdir(join(serverFolder ?? "", type, "genga"), { recursive: true })).filter((file) =>
        file.endsWith(".png"),
      );

    test("a name that a graph builds at run time reaches nothing that can be known of another tenant's", async () => {
      const before = await filesOf("output").catch((): string[] => []);
      const name = await upload("#0000ff");
      const own = await run(owner, {
        type: "workflow",
        workflow: { "1": { class_type: "LoadImage", inputs: { image: name } }, "2": save(["1", 0]) },
      });
      expect([own.status, own.failure]).toEqual(["completed", null]);
      const [made = ""] = (await filesOf("output")).filter((file) => !before.includes(file));
      expect(made).toMatch(/^[0-9a-f]{32}\/[0-9a-f]{32}-copy_00001_\.png$/);
      // That the way works is seen by a name that a person who knows the server's disk could give.
      const control = await run(curious, loadBuilt(`genga/${made} [output]`));
      expect([control.status, control.failure]).toEqual(["completed", null]);
      const guesses = [
        ...[name, `${name} [input]`, `genga/${own.id}-1/copy_00001_.png [output]`],
        ...["genga/copy_00001_.png [output]", "copy_00001_.png [output]", "genga [output]"],
      ];
      for (const guess of guesses) {
        const job = await run(curious, loadBuilt(guess));
        expect([guess, job.status]).toEqual([guess, "failed"]);
      }
    }, 180_000);

    test("a prefix that a graph builds at run time writes nowhere but into the attempt's own folder", async () => {
      const before = await readdir(join(serverFolder ?? "", "output"));
      const job = await run(curious, {
        type: "workflow",
        workflow: {
          ...builtName("meeting-place/here"),
          "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 255 } },
          "2": save(["1", 0], ["10", 0]),
        },
      });
      expect([job.status, job.failure]).toEqual(["completed", null]);
      const [output] = await curious.outputs(job.id);
      expect(output!.filename).toBe("output_00001_.png");
      expect((await readdir(join(serverFolder ?? "", "output"))).sort()).toEqual(before.sort());
    }, 180_000);

    test("failures name files as clients do", async () => {
      const name = await upload("#00ff00");
      const job = await run(owner, {
        type: "workflow",
        workflow: {
          "1": {
            class_type: "ProtoFail",
            inputs: { image: ["3", 0], mode: "value", message: name, seed: 0 },
          },
          "2": save(["1", 0]),
          "3": { class_type: "LoadImage", inputs: { image: name } },
        },
      });
      expect(job).toMatchObject({ status: "failed", failure: { nodeId: "1" } });
      expect(job.failure!.message).toContain(name);
    }, 180_000);

    test("extraData arrives, and comes back in no text, failure or log", async () => {
      const key = "comfyui-4711-secret-words";
      const quote = (how: "text" | "failure" | "warning"): object => ({
        type: "workflow",
        extraData: {
          api_key_comfy_org: key,
          extra_pnginfo: { workflow: { nodes: [], links: [] }, note: "kept" },
        },
        workflow: {
          "1": { class_type: "QuoteKey", inputs: { how } },
          "2": save(["3", 0]),
          "3": {
            class_type: "EmptyImage",
            inputs: { width: 64, height: 64, batch_size: 1, color: how.length },
          },
          "4": { class_type: "PreviewAny", inputs: { source: ["1", 0] } },
        },
      });
      const told = await run(owner, quote("text"));
      expect([told.status, told.failure]).toEqual(["completed", null]);
      const outputs = await owner.outputs(told.id);
      const texts = outputs.flatMap((output) => ("text" in output ? [output.text] : []));
      expect(texts.filter((text) => typeof text === "string")).toEqual([
        `length ${key.length}`,
        ...["Unauthorized: ***", "Unauthorized: ***"],
      ]);
      const file = outputs.find(({ filename }) => filename !== null)!;
      const picture = await owner.request("GET", `outputs/${file.id}`);
      expect(Buffer.from(await picture.arrayBuffer()).includes("kept")).toBe(true);

      const failed = await run(owner, quote("failure"));
      expect(failed).toMatchObject({ status: "failed", failure: { nodeId: "1" } });
      expect(failed.failure!.message).toContain("Unauthorized: ***");
      const warned = await run(owner, quote("warning"));
      expect(warned.status).toBe("completed");
      expect(String(warned["warnings"])).toContain("Unauthorized: ***");
      const shown = await Promise.all(
        [
          `job/${warned.id}`,
          `job/${failed.id}`,
          `jobs/${failed.id}/attempts`,
          `jobs/${failed.id}/parameters`,
        ].map(async (path) => (await owner.request("GET", path)).text()),
      );
      const logs = [...stack.workers, ...stack.apis].flatMap(({ lines }) => lines);
      expect([...shown, ...logs].join("\n")).not.toContain(key);
    }, 180_000);
  },
);
