import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findPythonTool } from "@genga/testing";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import sharp from "sharp";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const here = fileURLToPath(new URL("schemathesis", import.meta.url));
const found = await findPythonTool({
  name: "schemathesis",
  requirements: join(here, "requirements.txt"),
  entry: "schemathesis.cli:schemathesis",
});
const described = "reason" in found ? describe.skip : describe;
const title = `Schemathesis${"reason" in found ? ` (skipped: ${found.reason})` : ""}`;

/** Cases for each operation; docs/testing.md says how to run many. */
const environment: Partial<Record<string, string>> = process.env;
const isShort = environment["SCHEMATHESIS_EXAMPLES"] === undefined;
const examples = environment["SCHEMATHESIS_EXAMPLES"] ?? "3";
const seed = environment["SCHEMATHESIS_SEED"] ?? "1";
const fuzzing = "examples,fuzzing,stateful";
const more = environment["SCHEMATHESIS_ARGS"] ?? "";
const keys = {
  read: "read-key-0123456789",
  submit: "submit-key-0123456789",
  operate: "operate-key-0123456789",
};

/** Nothing listens at this address, and nothing else is sent to. */
const webhookUrl = "http://127.0.0.1:1025/";
const webhooks = {
  SECRETS_KEY: "k9vJ0m2Qe5yH7sW1xC4bN8tR3uL6pZ0aD2gF5jK7qM4=",
  ...{ WEBHOOKS_ALLOW_HTTP: "true", WEBHOOKS_ALLOW_NETWORKS: "127.0.0.1" },
};

described(title, () => {
  let keyless: ApiUnderTest;
  let keyed: ApiUnderTest;
  let folder: string;
  beforeAll(async () => {
    const apiKeys = Object.entries(keys)
      .map(([role, key]) => `studio:${role}:${key}`)
      .join();
    [keyless, keyed] = await Promise.all([
      startApiUnderTest({ env: webhooks }), // Every case with a made up key would be one of the few that are allowed.
      startApiUnderTest({ env: { ...webhooks, API_KEYS: apiKeys, WRONG_KEYS_PER_MINUTE: "1000000" } }),
    ]);
    folder = await mkdtemp(join(tmpdir(), "genga-schemathesis-"));
    const common = await readFile(join(here, "schemathesis.toml"), "utf8");
    for (const [api, headers, names] of [
      [keyless, {}, ["keyless"]],
      [keyed, { "x-api-key": keys.submit }, Object.keys(keys)],
    ] as const) {
      const ids = await thingsOf(api, headers);
      for (const name of names) {
        await writeFile(join(folder, `${name}.toml`), [settingsOf(name, ids), common].join("\n"));
      }
    }
  }, 180_000);
  afterAll(async () => {
    await Promise.all([keyless.stop(), keyed.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  /** What it says about the API that `keyless` or a role stands for; nothing when all is well. */
  async function findings(name: string, args: readonly string[] = []): Promise<string> {
    if ("reason" in found) return found.reason;
    const api = name === "keyless" ? keyless : keyed;
    const settings = join(folder, `${name}.toml`);
    const { code, said } = await found.run(
      [
        ...[`--config-file=${settings}`, "run", `${api.url}/openapi.json`, "--no-color"],
        ...["--checks=all", "--generation-allow-x00=true", "--continue-on-failure"],
        ...[`--seed=${seed}`, `--max-examples=${examples}`, "--generation-database=none"],
        ...["--request-timeout=20", "--report-dir", folder],
        ...more.split(" ").filter((arg) => arg !== ""),
        ...args,
      ],
      {},
    );
    return code === 0 ? "" : said;
  }

  test("finds nothing without keys", async () => {
    // The first key that is made ends what this run is about.
    expect(await findings("keyless", ["--exclude-operation-id", "addKey", ...covering])).toBe("");
  }, 3_600_000);

  // What coverage tries does not depend on who asks, and whoever asks without a key may do what the role `operate` may. A reader makes
  // nothing that a later request could be about. More than a short run does everything for everybody.
  const covering = isShort ? ["--phases=examples,coverage"] : [];
  const quick = { read: "examples,fuzzing", submit: fuzzing, operate: fuzzing };

  test.each(["read", "submit", "operate"] as const)(
    "finds nothing with a key of the role %s",
    async (role) => {
      expect(await findings(role, isShort ? [`--phases=${quick[role]}`] : [])).toBe("");
    },
    3_600_000,
  );
});

/** Half of the requests are about something that is there; keys go along as the document says. */
function settingsOf(name: string, ids: readonly string[]): string {
  const key = Object.entries(keys).find(([role]) => role === name)?.[1];
  return [
    `parameters."path.id" = { dictionary = "known", probability = 0.5 }`,
    `[dictionaries.known]\nvalues = ${JSON.stringify(ids)}`,
    ...(key === undefined ? [] : [`[auth.openapi.bearer]\nbearer = ${JSON.stringify(key)}`]),
  ].join("\n");
}

/** Ids of everything that has one: jobs that wait, run and ended, a batch, outputs, an upload, a webhook, a server. */
async function thingsOf(api: ApiUnderTest, headers: Record<string, string>): Promise<string[]> {
  const definitions = await recordedDefinitions("core");
  const serverId = await api.worker.registerServer("http://comfyui.test:8188", definitions);
  const prompts = ["waits", "waits, too", "runs", "has ended"];
  const jobs = prompts.map((prompt) => ({ type: "image", prompt }));
  const batch = (await (await api.post("batches", { jobs }, headers)).json()) as {
    id: string;
    jobs: { id: string }[];
  };
  const [running, ended] = [batch.jobs[2]!.id, batch.jobs[3]!.id];
  await api.worker.claim(running, serverId);
  const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  const files = [
    { filename: "a.png", body: png, mediaType: "image/png" },
    { filename: "a.json", body: Buffer.from("{}"), mediaType: "application/json" },
  ];
  await api.worker.complete(await api.worker.claim(ended, serverId), files, ["a text"]);
  const outputs = (await (await api.request(`jobs/${ended}/outputs`, { headers })).json()) as {
    outputs: { id: string }[];
  };
  const upload = await api.request("uploads", {
    method: "POST",
    body: new Uint8Array(png),
    headers: { ...headers, "content-type": "image/png" },
  });
  const { id: uploadId } = (await upload.json()) as { id: string };
  const webhook = (await (await api.post("webhooks", { url: webhookUrl }, headers)).json()) as { id: string };
  const sent = (await (await api.post(`webhooks/${webhook.id}/test`, {}, headers)).json()) as { id: string };
  const ids = [webhook, sent, ...batch.jobs, ...outputs.outputs].map(({ id }) => id);
  return [...ids, batch.id, uploadId, serverId];
}
