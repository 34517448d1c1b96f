import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ConfigurationError, createLogger, readConfiguration } from "@genga/runtime";
import { startApi } from "../src/start-api.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

async function outcomeOf(response: Response): Promise<[number, string]> {
  const { code } = (await response.json()) as { code?: string };
  return [response.status, code ?? "ok"];
}

describe("without keys", () => {
  let api: ApiUnderTest;
  beforeAll(async () => {
    api = await startApiUnderTest();
  });
  afterAll(() => api.stop());

  /** `fetch` does not let one choose the Host header; a browser after DNS rebinding does. */
  function ask(host: string, path: string): Promise<number> {
    const { hostname, port } = new URL(api.url);
    return new Promise((resolve, reject) => {
      const asking = httpRequest({ host: hostname, port, path, headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asking.once("error", reject);
      asking.end();
    });
  }

  test.each([
    "evil.example",
    "evil.example:8328",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.168.1.5",
    "a b",
  ])("the name %s is refused everywhere", async (host) => {
    const paths = [
      "/",
      "/api/anime/queue",
      "/api/anime/health",
      "/admin/queues",
      "/metrics",
      "/openapi.json",
    ];
    for (const path of paths) expect([host, path, await ask(host, path)]).toEqual([host, path, 403]);
  });

  test.each(["localhost", "localhost:8328", "127.0.0.1", "127.1.2.3:1", "[::1]:8328"])(
    "the name %s is served",
    async (host) => {
      expect(await ask(host, "/api/anime/queue")).toBe(200);
    },
  );

  test("pages of other origins may not write", async () => {
    const body = { type: "image", prompt: "a cat" };
    for (const origin of ["https://evil.example", "null", "http://localhost:1"]) {
      expect(await outcomeOf(await api.post("generate", body, { origin }))).toEqual([
        403,
        "origin-not-allowed",
      ]);
    }
    expect((await api.post("generate", body, { origin: api.url })).status).toBe(202);
  });

  test("an API for other machines does not start", async () => {
    const configuration = readConfiguration({ ...api.env, HOST: "0.0.0.0" });
    const start = startApi(configuration, createLogger({ name: "api", level: "silent" }));
    await expect(start).rejects.toThrow(ConfigurationError);
    await expect(start).rejects.toThrow(/HOST is "0.0.0.0".*API_KEYS/s);
  });
});

describe("with keys", () => {
  const studioKey = "studio-key-0123456789";
  const rivalKey = "rival-key-0123456789";
  const operatorKey = "operator-key-0123456789";
  let api: ApiUnderTest;
  let serverId: string;

  beforeAll(async () => {
    const apiKeys = `studio:${studioKey},rival:${rivalKey},default:operate:${operatorKey}`;
    api = await startApiUnderTest({
      env: { API_KEYS: apiKeys, HOST: "0.0.0.0", WRONG_KEYS_PER_MINUTE: "1000" },
    });
    serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
  });
  afterAll(() => api.stop());

  const as = (key: string): { headers: Record<string, string> } => ({
    headers: { authorization: `Bearer ${key}` },
  });
  const submit = async (key: string): Promise<string> => {
    const response = await api.post(
      "generate",
      { type: "image", prompt: "a secret cat" },
      { "x-api-key": key },
    );
    expect(response.status).toBe(202);
    return ((await response.json()) as { id: string }).id;
  };

  test.each([
    "jobs",
    "queue",
    "servers",
    "job/1",
    "outputs/1",
    "jobs/1/events",
    "nothing",
    "/admin/queues",
    "/metrics",
  ])("%s needs one", async (path) => {
    const response = await api.request(path);
    expect(response.headers.get("www-authenticate")).toBe(
      `${path === "/admin/queues" ? "Basic" : "Bearer"} realm="genga"`,
    );
    expect(await outcomeOf(response)).toEqual([401, "key-missing"]);
    for (const key of ["wrong-key-0123456789", `${studioKey}x`, studioKey.slice(1)]) {
      expect(await outcomeOf(await api.request(path, as(key)))).toEqual([401, "key-unknown"]);
    }
  });

  test("health, the landing page and the documentation are open", async () => {
    for (const path of ["health", "health/ready", "/", "/docs", "/openapi.json"]) {
      expect([path, (await api.request(path)).status]).toEqual([path, 200]);
    }
  });

  test("a key is accepted as Bearer and as X-API-Key, and for pages as a browser's password", async () => {
    const basic = { authorization: `Basic ${Buffer.from(`anybody:${operatorKey}`).toString("base64")}` };
    for (const headers of [{ authorization: `Bearer ${studioKey}` }, { "x-api-key": studioKey }]) {
      expect((await api.request("queue", { headers })).status).toBe(200);
    }
    expect((await api.request("/admin/queues", { headers: basic })).status).toBe(200);
    // A page elsewhere could have a browser send this along.
    expect(await outcomeOf(await api.request("queue", { headers: basic }))).toEqual([401, "key-missing"]);
    expect((await api.request("jobs/1/cancel", { method: "POST", headers: basic })).status).toBe(401);
  });

  test("a tenant's jobs do not exist for another", async () => {
    const id = await submit(studioKey);
    await api.worker.complete(await api.worker.claim(id, serverId), [
      { filename: "a.bin", body: Buffer.from("x") },
    ]);
    const outputs = (await (await api.request(`jobs/${id}/outputs`, as(studioKey))).json()) as {
      outputs: { id: string }[];
    };
    const outputId = outputs.outputs[0]!.id;
    const batch = await api.post(
      "batches",
      { jobs: [{ type: "image", prompt: "x" }] },
      { "x-api-key": studioKey },
    );
    const batchId = ((await batch.json()) as { id: string }).id;
    const paths = [
      `job/${id}`,
      ...["", "/parameters", "/workflow", "/outputs", "/events"].map((rest) => `jobs/${id}${rest}`),
    ];
    for (const path of paths) {
      expect(await outcomeOf(await api.request(path, as(rivalKey)))).toEqual([404, "job-not-found"]);
    }
    for (const [path, method] of [
      ["/cancel", "POST"],
      ["/retry", "POST"],
      ["", "DELETE"],
    ]) {
      const response = await api.request(`jobs/${id}${path!}`, { method: method!, ...as(rivalKey) });
      expect(await outcomeOf(response)).toEqual([404, "job-not-found"]);
    }
    expect(await outcomeOf(await api.request(`outputs/${outputId}`, as(rivalKey)))).toEqual([
      404,
      "output-not-found",
    ]);
    expect(await outcomeOf(await api.request(`batches/${batchId}`, as(rivalKey)))).toEqual([
      404,
      "batch-not-found",
    ]);
    expect(await (await api.request("jobs", as(rivalKey))).json()).toEqual({ jobs: [], nextCursor: null });
    expect(await (await api.request("queue", as(rivalKey))).json()).toMatchObject({
      counts: { queued: 0, completed: 0 },
    });
    expect((await api.request(`outputs/${outputId}`, as(studioKey))).status).toBe(200);
  });

  test("only operators see tickets and figures of all tenants", async () => {
    for (const path of ["/admin/queues", "/metrics"]) {
      expect(await outcomeOf(await api.request(path, as(studioKey)))).toEqual([403, "role-too-low"]);
      expect((await api.request(path, as(operatorKey))).status).toBe(200);
    }
  });

  test("every request is one line in the log, without keys and prompts", async () => {
    const requestId = "a-request-of-mine";
    await api.post(
      "generate?text=hidden",
      { type: "image", prompt: "a secret cat" },
      { "x-api-key": studioKey, "x-request-id": requestId },
    );
    const lines = api.logged.filter((line) => line.includes(requestId));
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({
        requestId,
        method: "POST",
        path: "/api/anime/generate",
        status: 202,
        tenant: "studio",
      }),
    ]);
    const everything = api.logged.join("\n");
    for (const secret of ["secret cat", "hidden", studioKey, rivalKey, operatorKey]) {
      expect(everything).not.toContain(secret);
    }
  });
});
