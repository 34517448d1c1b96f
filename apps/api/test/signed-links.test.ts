import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createFolderStorage } from "@genga/storage";
import { defaultTenantId } from "@genga/database";
import { type Tenant } from "@genga/jobs";
import { SignedLinks } from "../src/access/signed-links.ts";
import { type OutputView } from "../src/jobs/output-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const secretsKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const key = "key-of-the-studio";
const headers = { "x-api-key": key };
let api: ApiUnderTest;
let outputs: OutputView[];
let batchId: string;
let tenantId: string;

interface Link {
  url: string;
  expiresAt: string;
  leadsTo: string;
}

beforeAll(async () => {
  api = await startApiUnderTest({
    env: {
      API_KEYS: `studio:submit:${key},studio:read:key-that-reads,rival:submit:key-of-the-rival`,
      SECRETS_KEY: secretsKey,
    },
  });
  const serverId = await api.worker.registerServer(
    "http://comfyui.test:8188",
    await recordedDefinitions("core"),
  );
  const submitted = await api.post(
    "batches",
    { name: "rain", jobs: [{ type: "image", prompt: "a cat" }] },
    headers,
  );
  const batch = (await submitted.json()) as { id: string; jobs: { id: string }[] };
  batchId = batch.id;
  const { id } = batch.jobs[0]!;
  await api.worker.complete(
    await api.worker.claim(id, serverId),
    [
      { filename: "a.png", body: Buffer.from("the picture"), mediaType: "image/png" },
      { filename: "evil.html", body: Buffer.from("<script>alert(1)</script>"), mediaType: "text/html" },
    ],
    ["a caption"],
  );
  ({ outputs } = (await (await api.request(`jobs/${id}/outputs`, { headers })).json()) as {
    outputs: OutputView[];
  });
  [{ id: tenantId }] = (await api.database.tenants.ensureTenants(["studio"])) as [Tenant];
});
afterAll(() => api.stop());

async function link(path: string, body: object = {}): Promise<Link> {
  const response = await api.post(path, body, headers);
  expect(response.status).toBe(200);
  return (await response.json()) as Link;
}
async function codeOf(url: string | Promise<Response>): Promise<[number, string]> {
  const response = await (typeof url === "string" ? api.request(url) : url);
  return [response.status, ((await response.json()) as { code: string }).code];
}

test("a signed link works without a key, for parts as well, and may be embedded elsewhere", async () => {
  const { url, expiresAt, leadsTo } = await link(outputs[0]!.links.sign, { expiresIn: "15m" });
  expect(leadsTo).toBe("api");
  expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(14 * 60_000);
  expect(url).not.toContain(key);
  const response = await api.request(url);
  expect([response.status, await response.text()]).toEqual([200, "the picture"]);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    ...{ "content-type": "image/png", "cross-origin-resource-policy": "cross-origin" },
    ...{ "x-content-type-options": "nosniff", "content-disposition": "inline; filename=a.png" },
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": expect.stringMatching(/^private, max-age=8\d\d, immutable$/),
  });
  const part = await api.request(url, { headers: { range: "bytes=4-6" } });
  expect([part.status, await part.text()]).toEqual([206, "pic"]);
  expect((await api.request(url, { method: "HEAD" })).status).toBe(200);
  const etag = response.headers.get("etag")!;
  expect((await api.request(url, { headers: { "if-none-match": etag } })).status).toBe(304);
});

test("content that could run in a browser is a download by a link, too", async () => {
  const response = await api.request((await link(outputs[1]!.links.sign)).url);
  expect(response.headers.get("content-disposition")).toBe("attachment; filename=evil.html");
  expect(await (await api.request((await link(outputs[2]!.links.sign)).url)).text()).toBe("a caption");
});

test("a link is for reading one thing: changed, swapped, or with another method it is refused", async () => {
  const { url } = await link(outputs[0]!.links.sign);
  const token = new URL(url).searchParams.get("token")!;
  const other = outputs[1]!.links.content;
  const changed = `${token.startsWith("A") ? "B" : "A"}${token.slice(1)}`;
  for (const forged of [
    `${other}/shared?token=${token}`,
    url.replace(token, changed),
    `${other}/shared?token=x`,
  ])
    expect(await codeOf(forged)).toEqual([403, "link-not-valid"]);
  expect(await codeOf(api.request(url, { method: "DELETE" }))).toEqual([405, "method-not-allowed"]);
  expect(await codeOf(`${other}/shared`)).toEqual([422, "missing-field"]);
});

test("a link of another tenant does not open this one's output", async () => {
  const links = new SignedLinks([secretsKey]);
  const thing = { kind: "output", id: outputs[0]!.id } as const;
  const expiresAt = new Date(Date.now() + 60_000);
  const ofRival = links.sign(thing, defaultTenantId, expiresAt);
  expect(await codeOf(`outputs/${thing.id}/shared?token=${ofRival}`)).toEqual([404, "output-not-found"]);
  const own = links.sign(thing, tenantId, expiresAt);
  expect((await api.request(`outputs/${thing.id}/shared?token=${own}`)).status).toBe(200);
  const expired = links.sign(thing, tenantId, new Date(Date.now() - 1_000));
  expect(await codeOf(`outputs/${thing.id}/shared?token=${expired}`)).toEqual([410, "link-expired"]);
  const foreign = new SignedLinks([secretsKey.replace("0", "f")]).sign(thing, tenantId, expiresAt);
  expect(await codeOf(`outputs/${thing.id}/shared?token=${foreign}`)).toEqual([403, "link-not-valid"]);
});

test("only keys that may submit share, and only what is their tenant's", async () => {
  const { sign } = outputs[0]!.links;
  expect(await codeOf(api.post(sign, {}))).toEqual([401, "key-missing"]);
  expect(await codeOf(api.post(sign, {}, { "x-api-key": "key-that-reads" }))).toEqual([403, "role-too-low"]);
  expect(await codeOf(api.post(sign, {}, { "x-api-key": "key-of-the-rival" }))).toEqual([
    404,
    "output-not-found",
  ]);
  const zip = `batches/${batchId}/links`;
  expect(await codeOf(api.post(zip, {}, { "x-api-key": "key-of-the-rival" }))).toEqual([
    404,
    "batch-not-found",
  ]);
});

test.each(["0s", "8d", "604801s", "10081m", "169h", "15", "-1m", "1.5h"])(
  "the time %s is refused",
  async (expiresIn) => {
    expect(await codeOf(api.post(outputs[0]!.links.sign, { expiresIn }, headers))).toEqual([
      422,
      "invalid-field",
    ]);
  },
);

test.each(["1s", "99999s", "604800s", "10080m", "168h", "7d"])(
  "the time %s is accepted",
  async (expiresIn) => {
    await link(outputs[0]!.links.sign, { expiresIn });
  },
);

test("the zip of a batch can be shared as well, with the names that were signed", async () => {
  const { url } = await link(`batches/${batchId}/links`, { names: "{batch}/{output}.{ext}" });
  const response = await api.request(url);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/zip"]);
  const zip = Buffer.from(await response.arrayBuffer());
  expect([zip.includes("rain/00.png"), zip.includes("the picture")]).toEqual([true, true]);
  expect(await codeOf(url.replace(/names=[^&]*&/, ""))).toEqual([403, "link-not-valid"]);
  expect((await api.request((await link(`batches/${batchId}/links`)).url)).status).toBe(200);
  for (const names of ["../{job}", "half a \ud83d pair/{job}"])
    expect(await codeOf(api.post(`batches/${batchId}/links`, { names }, headers))).toEqual([
      422,
      "invalid-field",
    ]);
});

test("a link to an output whose file is gone says so, and no token is in the log", async () => {
  const { url } = await link(outputs[0]!.links.sign);
  const row = await api.database.jobReader.of(tenantId).findOutput(outputs[0]!.id);
  const storage = await createFolderStorage({ folder: `${api.env["DATA_DIR"]!}/outputs` });
  await storage.remove([row!.storageKey!]);
  expect(await codeOf(url)).toEqual([404, "output-not-found"]);
  expect(api.logged.join()).not.toContain(new URL(url).searchParams.get("token"));
});

test("without SECRETS_KEY no link is signed", async () => {
  const { url } = await api.startAnother({ SECRETS_KEY: "" });
  const path = new URL(outputs[0]!.links.sign).pathname;
  expect(await codeOf(api.post(`${url}${path}`, {}, headers))).toEqual([422, "secrets-key-missing"]);
});
