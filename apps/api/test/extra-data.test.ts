import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { SecretBox, openExtraData } from "@genga/jobs";
import pg from "pg";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const secretsKey = "Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISE=";
const apiKey = "comfyui-4711-secret-words";
let api: ApiUnderTest;
let serverId: string;

beforeAll(async () => {
  api = await startApiUnderTest({ env: { SECRETS_KEY: secretsKey, LOG_LEVEL: "trace" } });
  serverId = await api.worker.registerServer("http://comfyui.test:8188", {
    Draw: { input: { required: {} }, output: ["IMAGE"], output_node: true },
  });
});
afterAll(async () => {
  await api.stop();
});

const job = (extraData?: unknown): object => ({
  type: "workflow",
  workflow: { "1": { class_type: "Draw", inputs: {} } },
  ...(extraData !== undefined && { extraData }),
});
const extraData = {
  api_key_comfy_org: apiKey,
  nested: { token: apiKey },
  preview_method: "none",
  extra_pnginfo: { workflow: { nodes: [{ id: 1, type: "Draw" }], links: [] }, note: "kept" },
};

async function accepted(body: object): Promise<string> {
  const response = await api.post("generate", body);
  expect([response.status, response.status === 202 ? "" : await response.text()]).toEqual([202, ""]);
  return ((await response.json()) as { id: string }).id;
}
async function fail(id: string): Promise<void> {
  const leased = await api.worker.claim(id, serverId);
  await api.database.jobRuns.endAttempt(leased, {
    kind: "failed",
    failure: { class: "execution", code: "node-failed", message: "no" },
  });
}

describe("extraData with a raw workflow", () => {
  test("reaches the server that runs the job, and its secrets are shown nowhere", async () => {
    const id = await accepted(job(extraData));
    const shown = await Promise.all(
      [
        `job/${id}`,
        `jobs/${id}/parameters`,
        `jobs/${id}/workflow`,
        `jobs/${id}/attempts`,
        "jobs",
        "queue",
      ].map(async (path) => (await api.request(path)).text()),
    );
    const { extra_pnginfo, preview_method } = extraData;
    expect(JSON.parse(shown[1]!)).toMatchObject({
      parameters: { extraData: { extra_pnginfo, preview_method } },
    });
    const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
    await client.connect();
    const { rows } = await client.query<{ text: string }>(
      "SELECT database_to_xml(true, false, '')::text AS text",
    );
    await client.end();
    expect([...shown, ...api.logged, rows[0]!.text].join("\n")).not.toContain(apiKey);

    const leased = await api.worker.claim(id, serverId);
    expect(leased.parameters).toMatchObject({ extraData: { extra_pnginfo, preview_method } });
    expect(JSON.parse(openExtraData(new SecretBox([secretsKey]), id, leased.sealedExtraData!))).toEqual({
      api_key_comfy_org: apiKey,
      nested: { token: apiKey },
    });
  });

  test("may have no secret part, and is then kept like any parameter", async () => {
    const id = await accepted(job({ preview_method: "none" }));
    expect(await api.worker.claim(id, serverId)).toMatchObject({
      hasExtraData: false,
      sealedExtraData: null,
    });
  });

  test.each<[string, unknown, string, string]>([
    ["a client_id", { client_id: apiKey }, "extraData.client_id", "is set by Genga"],
    ["no object", apiKey, "extraData", "must be an object"],
    ["a list", [apiKey], "extraData", "must be an object"],
    ["an odd extra_pnginfo", { extra_pnginfo: apiKey }, "extraData.extra_pnginfo", "must be an object"],
    [
      "an odd workflow",
      { extra_pnginfo: { workflow: null } },
      "extraData.extra_pnginfo",
      "must be an object",
    ],
    ["an odd preview_method", { preview_method: 7 }, "extraData.preview_method", "must be a text"],
    ["too much", { key: apiKey.repeat(500) }, "extraData", "is longer than 8192 bytes"],
  ])(
    "is refused with %s; the refusal names the field and quotes no value",
    async (_name, given, path, message) => {
      const alone = await api.post("generate", job(given));
      const text = await alone.text();
      expect([alone.status, text]).toEqual([422, expect.stringContaining(message)]);
      expect(JSON.parse(text)).toMatchObject({ problems: [{ path }] });
      const batch = await api.post("batches", { jobs: [job(), job(given)] });
      expect(await batch.json()).toMatchObject({ status: 422, problems: [{ path: `jobs.1.${path}` }] });
      expect(text).not.toContain(apiKey);
    },
  );

  test("goes with raw workflows only", async () => {
    const answer = await api.post("generate", { type: "image", prompt: "a", extraData });
    expect(answer.status).toBe(422);
    expect(await answer.text()).not.toContain(apiKey);
  });

  test("is needed again for a retry after the end", async () => {
    const id = await accepted(job(extraData));
    await fail(id);
    const without = await api.request(`jobs/${id}/retry`, { method: "POST" });
    expect([without.status, await without.json()]).toMatchObject([409, { code: "extra-data-needed" }]);
    const kept = await api.post(`jobs/${id}/retry`, { extraData: { preview_method: "none" } });
    expect([kept.status, await kept.json()]).toMatchObject([422, { code: "unknown-field" }]);
    const odd = await api.post(`jobs/${id}/retry`, { extra_data: {} });
    expect([odd.status, await odd.json()]).toMatchObject([422, { problems: [{ accepted: "extraData" }] }]);
    const again = await api.post(`jobs/${id}/retry`, { extraData: { api_key_comfy_org: apiKey } });
    expect([again.status, await again.json()]).toMatchObject([202, { status: "queued" }]);
    const leased = await api.worker.claim(id, serverId);
    expect(JSON.parse(openExtraData(new SecretBox([secretsKey]), id, leased.sealedExtraData!))).toEqual({
      api_key_comfy_org: apiKey,
    });
  });

  test("is refused in a retry when it is nested too deep, and the refusal quotes no value", async () => {
    const id = await accepted(job(extraData));
    await fail(id);
    const deep = `${"[".repeat(200_000)}"${apiKey}"${"]".repeat(200_000)}`;
    for (const key of ["api_key_comfy_org", "extra_pnginfo"]) {
      const refused = await api.request(`jobs/${id}/retry`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: `{"extraData":{"${key}":${deep}}}`,
      });
      const text = await refused.text();
      expect([refused.status, text]).toEqual([422, expect.stringContaining("nested more than 64 levels")]);
      expect(JSON.parse(text)).toMatchObject({ code: "out-of-bounds" });
      expect(text).not.toContain(apiKey);
    }
  });

  test("is needed again for the retry of a batch", async () => {
    const answer = await api.post("batches", { jobs: [job(extraData), job()] });
    const { id, jobs } = (await answer.json()) as { id: string; jobs: { id: string }[] };
    for (const each of jobs) await fail(each.id);
    const without = await api.request(`batches/${id}/retry`, { method: "POST" });
    expect([without.status, await without.json()]).toMatchObject([409, { code: "extra-data-needed" }]);
    const again = await api.post(`batches/${id}/retry`, { extraData: { api_key_comfy_org: apiKey } });
    expect([again.status, await again.json()]).toMatchObject([202, { retried: 2 }]);
  });

  test("with secrets is refused where no SECRETS_KEY is set, and without them it is not", async () => {
    const other = await api.startAnother({ SECRETS_KEY: "" });
    const post = (body: object): Promise<Response> => api.post(`${other.url}/api/anime/generate`, body);
    const refused = await post(job(extraData));
    const text = await refused.text();
    expect(JSON.parse(text)).toMatchObject({
      ...{ status: 422, code: "secrets-key-missing" },
      problems: [{ path: "extraData" }],
    });
    expect(text).toContain("SECRETS_KEY, which encrypts them, is not set here");
    expect(text).not.toContain(apiKey);
    expect((await post(job({ preview_method: "none" }))).status).toBe(202);
  });
});
