import { type Json } from "@genga/jobs";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const keys = { submit: "key-of-studio", operate: "key-of-operator" };
let api: ApiUnderTest;
let [one, other] = ["", ""];

beforeAll(async () => {
  const apiKeys = `studio:read:${keys.submit},studio:operate:${keys.operate}`;
  api = await startApiUnderTest({
    env: { API_KEYS: apiKeys, HOST: "0.0.0.0" },
    times: { serversMaxAgeMs: 0 },
  });
});
afterAll(() => api.stop());

interface Models {
  models: {
    kind: string;
    name: string;
    serversCount: number;
    servers: { id: string; name: string; url?: string }[];
  }[];
  kinds: { kind: string; count: number }[];
  serversKnown: number;
  nextCursor: string | null;
}
const ask = (query: string, headers: Record<string, string> = {}): Promise<Response> =>
  api.request(`models${query}`, { headers: { "x-api-key": keys.submit, ...headers } });
const read = async (query: string): Promise<Models> => (await (await ask(query)).json()) as Models;

/** Definitions in which a loader lists these files. */
async function listing(lists: Record<string, string[]>): Promise<Record<string, Json>> {
  const definitions = structuredClone(await recordedDefinitions("core"));
  delete definitions["ImageOnlyCheckpointLoader"];
  for (const [place, names] of Object.entries(lists)) {
    const [classType = "", input = ""] = place.split(".");
    const definition = definitions[classType] as { input: { required: Record<string, Json> } };
    definition.input.required[input] = [names];
  }
  return definitions;
}

test("nothing is listed while no server is known", async () => {
  expect(await read("")).toEqual({ models: [], kinds: [], serversKnown: 0, nextCursor: null });
});

test("lists what each server has, by kind and name, and follows a change of the definitions", async () => {
  one = await api.worker.registerServer(
    "http://gpu-1.test:8188",
    await listing({ "CheckpointLoaderSimple.ckpt_name": ["b.safetensors", "a.ckpt"] }),
  );
  other = await api.worker.registerServer(
    "http://gpu-2.test:8188",
    await listing({
      "CheckpointLoaderSimple.ckpt_name": ["b.safetensors"],
      "LoraLoader.lora_name": ["Ink.safetensors"],
    }),
  );
  expect((await read("")).serversKnown).toBe(2);
  const { models, kinds } = await read("?kind=checkpoints,loras");
  expect(models.map(({ kind, name, servers }) => [kind, name, servers.map(({ id }) => id).sort()])).toEqual([
    ["checkpoints", "a.ckpt", [one]],
    ["checkpoints", "b.safetensors", [one, other].sort()],
    ["loras", "Ink.safetensors", [other]],
  ]);
  expect(kinds).toEqual([
    { kind: "checkpoints", count: 2 },
    { kind: "loras", count: 1 },
  ]);
  const samplers = await read("?kind=samplers&text=DPMPP_2M&limit=1000");
  expect(samplers.models.map(({ name }) => name)).toContain("dpmpp_2m");
  expect(
    samplers.models.every(({ name, serversCount }) => name.includes("dpmpp_2m") && serversCount === 2),
  ).toBe(true);
  expect((await read(`?text=ink`)).models.map(({ name }) => name)).toEqual(["Ink.safetensors"]);
  expect((await read(`?text=ink&server=${one}`)).models).toEqual([]);

  await api.worker.setDefinitions(other, await listing({ "LoraLoader.lora_name": ["wash.safetensors"] }));
  expect((await read("?kind=loras")).models.map(({ name }) => name)).toEqual(["wash.safetensors"]);
});

test("pages show every name once", async () => {
  const all = await read("?limit=1000");
  const names: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: Models = await read(`?limit=7&cursor=${encodeURIComponent(cursor === "" ? "!" : cursor)}`);
    expect(page.models.length).toBeLessThanOrEqual(7);
    names.push(...page.models.map(({ kind, name }) => `${kind}/${name}`));
    cursor = page.nextCursor;
  }
  expect(names).toEqual(all.models.map(({ kind, name }) => `${kind}/${name}`));
  expect(new Set(names).size).toBe(names.length);
});

test("says that a client has the answer already, until it changes", async () => {
  const first = await ask("?kind=vae");
  const tag = first.headers.get("etag")!;
  const again = await ask("?kind=vae", { "if-none-match": tag, "cache-control": "no-cache" });
  expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", tag]);
  expect((await ask("?kind=samplers", { "if-none-match": tag })).status).toBe(200);
});

test("shows addresses to operators only", async () => {
  expect(await (await ask("?limit=1000")).text()).not.toMatch(/gpu-|8188/);
  const seen = (await (await ask("?kind=vae", { "x-api-key": keys.operate })).json()) as Models;
  expect(seen.models[0]!.servers.map(({ url }) => url)).toContain("http://gpu-1.test:8188");
  expect(seen.models[0]!.servers[0]!.name).toMatch(/^server-/);
});

test.each([
  ["?kind=nonsense", "kind.0", "invalid-field"],
  ["?server=x", "server", "invalid-field"],
  ["?limit=0", "limit", "out-of-bounds"],
  ["?text=", "text", "out-of-bounds"],
])("refuses %s", async (query, path, code) => {
  const response = await ask(query);
  const problem = (await response.json()) as { code: string; problems: { path: string }[] };
  expect([response.status, problem.code, problem.problems.map((each) => each.path)]).toEqual([
    422,
    code,
    [path],
  ]);
});
