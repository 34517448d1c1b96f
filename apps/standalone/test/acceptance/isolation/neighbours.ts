import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { migrate } from "@genga/database";
import { roles, type Role } from "@genga/jobs";
import { ApiClient, createTestDatabase, startStack } from "@genga/testing";
import pg from "pg";
import sharp from "sharp";
import { z } from "zod";

/** Where the test runs: servers of its own, or a real one with the folder that it was started in. */
export interface ServerUnderTest {
  name: string;
  url?: string;
  folder?: string;
}

/** Everything of one tenant that another one must not see. */
export interface Belongings {
  /** Ids by kind, as routes take them. */
  ids: Record<string, string[]>;
  /** The BLAKE3 of uploads. */
  hashes: string[];
  /** What no answer to another tenant may contain: all of this, and where the farm is. */
  secrets: string[];
  /** Public names of files, as its own graphs and answers have them. */
  publicNames: string[];
}

/** Two tenants on one farm. */
export interface Neighbours {
  url: string;
  /** The tenant whose things are looked for. */
  owner: ApiClient;
  /** Keys of the tenant that looks, by role. */
  keys: Record<Role, string>;
  /** Whether a picture shows the owner's colour. */
  isOwners: (picture: Buffer) => Promise<boolean>;
  /** The bytes of the image that the owner has sent. */
  ownersPicture: () => Promise<Buffer>;
  belongings: () => Promise<Belongings>;
  /** Names of files and folders that have come below Genga's folder on the server's own disk since the test began. */
  namesOnDisk: () => Promise<string[]>;
  /** Nothing of this tenant begins to run while `running` is 0; `null` = as it was. */
  limitRunning: (tenant: string, running: number | null) => Promise<void>;
  stop: () => Promise<void>;
}

/** No other word of the test, and nothing that a server says, contains these. */
export const marker = "zanzibar";
const color = { r: 17, g: 201, b: 93 };
const operatorKey = "key-of-the-operator-0";
const ownerKey = "key-of-studio-000000";

export async function startNeighbours(server: ServerUnderTest): Promise<Neighbours> {
  const database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  const keys = {
    read: "key-of-atelier-read",
    submit: "key-of-atelier-submit",
    operate: "key-of-atelier-operate",
  };
  const apiKeys = [
    ...roles.map((role) => `atelier:${role}:${keys[role]}`),
    ...[`${marker}-studio:submit:${ownerKey}`, `house:operate:${operatorKey}`],
  ];
  const stack = await startStack({
    databaseUrl: database.url,
    simulators: server.url === undefined ? 1 : 0,
    env: {
      API_KEYS: apiKeys.join(),
      SECRETS_KEY: randomBytes(32).toString("base64"),
      ...(server.url !== undefined && { COMFYUI_URLS: server.url }),
    },
  });
  const folder = server.folder ?? join(stack.folder, "comfyui-0");
  const owner = new ApiClient(stack.url, ownerKey);
  const namesBefore = new Set(await namesBelow(folder));
  await giveBelongings(stack.url, owner);
  return {
    url: stack.url,
    owner,
    keys,
    isOwners: async (picture) => {
      const { channels } = await sharp(picture).stats();
      const expected = [color.r, color.g, color.b];
      return expected.every((value, index) => Math.abs((channels[index]?.mean ?? -99) - value) < 4);
    },
    ownersPicture: pictureOf,
    belongings: () => readBelongings(database.url, marker),
    namesOnDisk: async () => (await namesBelow(folder)).filter((name) => !namesBefore.has(name)),
    limitRunning: async (tenant, running) => {
      const answer = await fetch(`${stack.url}/api/anime/tenants/${tenant}/limits`, {
        method: "PUT",
        headers: { authorization: `Bearer ${operatorKey}`, "content-type": "application/json" },
        body: JSON.stringify({
          ...{ jobsQueuedMax: null, jobsRunningMax: running, requestsPerMinute: null },
          ...{ requestsAtOnce: null, streamsMax: null },
        }),
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
    stop: async () => {
      await stack.stop();
      await database.drop();
    },
  };
}

function pictureOf(): Promise<Buffer> {
  return sharp({ create: { width: 64, height: 64, channels: 3, background: color } })
    .png()
    .toBuffer();
}

/** An image, a webhook, jobs that completed, failed, were cancelled and removed, a batch; all with the marker in every text. */
async function giveBelongings(url: string, owner: ApiClient): Promise<void> {
  const sent = await fetch(`${url}/api/anime/uploads`, {
    method: "POST",
    headers: { "content-type": "image/png", authorization: `Bearer ${ownerKey}` },
    body: new Uint8Array(await pictureOf()),
  });
  const { name } = z.object({ name: z.string() }).parse(await sent.json());
  const form = new FormData();
  for (const [field, value] of Object.entries({ content_type: "image/png", file_path: `${marker}.png` }))
    form.set(field, value);
  form.set("file", new Blob([new Uint8Array(await pictureOf())]), `${marker}.png`);
  const asset = await fetch(`${url}/api/v2/assets`, {
    ...{ method: "POST", body: form, headers: { authorization: `Bearer ${ownerKey}` } },
  });
  if (!asset.ok) throw new Error(await asset.text());
  const said = { project: `${marker}-film`, tags: [`${marker}-cut`] };
  const shown = {
    "1": { class_type: "LoadImage", inputs: { image: name } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: `${marker}-scene` } },
    "3": { class_type: "PrimitiveString", inputs: { value: `${marker} meets the dragon` } },
    "4": { class_type: "PreviewAny", inputs: { source: ["3", 0] } },
  };
  const failing = {
    ...shown,
    "2": { class_type: "SaveImage", inputs: { images: ["5", 0], filename_prefix: `${marker}-scene` } },
    "5": {
      class_type: "ProtoFail",
      inputs: { image: ["1", 0], mode: "value", message: `${marker} broke`, seed: 1 },
    },
  };
  const job = (workflow: object): object => ({ type: "workflow", workflow, ...said });
  const stored = await owner.request("POST", "templates", {
    name: `${marker}-template`,
    description: `${marker} at dawn`,
    workflow: shown,
    parameters: { text: { type: "string", targets: [{ node: "3", input: "value" }] } },
  });
  if (!stored.ok) throw new Error(await stored.text());
  const ofTemplate = { template: `${marker}-template`, values: { text: `${marker} swims` }, ...said };
  const single = await owner.submit(job(shown));
  const answer = await owner.request("POST", "batches", {
    name: `${marker}-night`,
    jobs: [job(shown), job(failing), { ...job(shown), priority: "low" }, ofTemplate],
  });
  const batch = z.object({ jobs: z.array(z.object({ id: z.string() })) }).parse(await answer.json());
  const webhook = await owner.request("POST", "webhooks", { url: `https://${marker}.example/hook` });
  const { id: webhookId } = z.object({ id: z.string() }).parse(await webhook.json());
  await owner.request("POST", `webhooks/${webhookId}/test`);
  const removed = await owner.submit(job(shown));
  for (const id of [single, removed, ...batch.jobs.map(({ id }) => id)]) await owner.untilEnded(id);
  await owner.request("DELETE", `jobs/${removed}`);
}

/** @param word in all texts of the tenant, which is called by it and `-studio` */
export async function readBelongings(databaseUrl: string, word: string): Promise<Belongings> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const column = async (sql: string): Promise<string[]> => {
    const { rows } = await client.query<{ value: string | null }>(sql, [`${word}-studio`]);
    return rows.flatMap(({ value }) => value ?? []);
  };
  const ofTenant = "tenant_id = (SELECT id FROM tenants WHERE name = $1)";
  const ofJobs = `job_id IN (SELECT id FROM jobs WHERE ${ofTenant})`;
  try {
    const ids = {
      job: await column(`SELECT id::text AS value FROM jobs WHERE ${ofTenant}`),
      "removed job": await column(`SELECT id::text AS value FROM removed_jobs WHERE ${ofTenant}`),
      batch: await column(`SELECT id::text AS value FROM batches WHERE ${ofTenant}`),
      upload: await column(`SELECT id::text AS value FROM uploads WHERE ${ofTenant}`),
      asset: await column(`SELECT id::text AS value FROM assets WHERE ${ofTenant}`),
      output: await column(`SELECT id::text AS value FROM outputs WHERE ${ofJobs}`),
      prompt: await column(`SELECT prompt_id::text AS value FROM job_attempts WHERE ${ofJobs}`),
      webhook: await column(`SELECT id::text AS value FROM webhooks WHERE ${ofTenant}`),
      delivery: await column(`SELECT id::text AS value FROM webhook_deliveries WHERE ${ofTenant}`),
      client: await column(`SELECT client_id AS value FROM job_attempts WHERE ${ofJobs}`),
      tenant: await column("SELECT id::text AS value FROM tenants WHERE name = $1"),
    };
    const hashes = await column(`SELECT blake3 AS value FROM uploads WHERE ${ofTenant}`);
    const contents = [
      ...hashes,
      ...(await column(`SELECT sha256 AS value FROM uploads WHERE ${ofTenant}`)),
      ...(await column(`SELECT sha256 AS value FROM outputs WHERE ${ofJobs}`)),
      ...(await column(`SELECT workflow_hash AS value FROM job_parameters WHERE ${ofJobs}`)),
      ...(await column(`SELECT storage_key AS value FROM outputs WHERE ${ofJobs}`)),
    ];
    const farm = [
      ...(await column("SELECT id AS value FROM workers WHERE $1 <> ''")),
      ...(await column("SELECT regexp_replace(url, '^https?://', '') AS value FROM servers WHERE $1 <> ''")),
    ];
    const publicNames = [
      ...(await column(`SELECT 'genga/' || sha256 || '.png' AS value FROM uploads WHERE ${ofTenant}`)),
      ...(await column(
        `SELECT 'genga/' || job_id || '-' || attempt || '/' || filename AS value FROM outputs WHERE ${ofJobs}`,
      )),
    ];
    return {
      ids,
      hashes,
      secrets: [word, ...Object.values(ids).flat(), ...contents, ...farm],
      publicNames,
    };
  } finally {
    await client.end();
  }
}

async function namesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const type of ["input", "output", "temp"]) {
    const below = await readdir(join(folder, type, "genga"), { recursive: true }).catch((): string[] => []);
    found.push(...below.map((path) => `genga/${path.replaceAll("\\", "/")}`));
  }
  return found;
}
