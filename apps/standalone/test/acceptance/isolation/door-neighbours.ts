import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@genga/database";
import { ApiClient, createTestDatabase, postPrompt, SocketClient, startStack } from "@genga/testing";
import pg from "pg";
import sharp from "sharp";
import { type DoorRoute } from "../../../../api/src/comfyui-door/door-route.ts";
import { doorCases, loading, maskForm, names, uploadForm } from "./door-cases.ts";
import { readBelongings } from "./neighbours.ts";
import { changing, type Seen } from "./what-is-seen.ts";

/** A tenant whose things are told from those of others by a word and a colour alone. */
export interface DoorTenant {
  /** In its texts. No other word of the test contains it, and nothing that a server says. */
  word: string;
  key: string;
  color: Rgb;
}

interface Rgb {
  r: number;
  g: number;
  b: number;
}

/** Two tenants with the same names on one door, and any number that have nothing. */
export interface DoorNeighbours {
  door: string;
  /** What no answer to others may contain. */
  secretsOf: (tenant: DoorTenant) => Promise<string[]>;
  /** All of a tenant's things that a client of the door could change, as one text. */
  thingsOf: (tenant: DoorTenant) => Promise<string>;
  /** Gives the tenant its files and its prompts that end. It must hear of them on this socket. */
  settle: (tenant: DoorTenant, socket: SocketClient) => Promise<void>;
  /** Lets one prompt of the tenant run and one wait, whatever was cancelled. */
  keepBusy: (tenant: DoorTenant) => Promise<void>;
  connect: (key: string) => Promise<SocketClient>;
  stop: () => Promise<void>;
}

export const owner: DoorTenant = {
  ...{ word: "zanzibar", key: "key-of-zanzibar-studio", color: { r: 17, g: 201, b: 93 } },
};
export const namesake: DoorTenant = {
  ...{ word: "timbuktu", key: "key-of-timbuktu-studio", color: { r: 201, g: 17, b: 93 } },
};
const tenants = [owner, namesake];

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

/** @param others keys of tenants that have nothing, with their roles; each is of a tenant of its own */
export async function startDoorNeighbours(
  others: readonly { key: string; role: string }[],
): Promise<DoorNeighbours> {
  const database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  const apiKeys = [
    ...tenants.map(({ word, key }) => `${word}-studio:submit:${key}`),
    ...others.map(({ key, role }, index) => `other-${index}:${role}:${key}`),
  ];
  const stack = await startStack({
    databaseUrl: database.url,
    // On each a prompt of one tenant runs.
    simulators: tenants.length,
    env: {
      ...{
        API_KEYS: apiKeys.join(),
        SECRETS_KEY: randomBytes(32).toString("base64"),
        COMFYUI_DOOR_PORT: "0",
      },
      // Of each tenant one prompt runs and the others wait, but all tenants have room on the servers.
      ...{ TENANT_JOBS_RUNNING_MAX: "1", SERVER_SLOTS: "8" },
    },
  });
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await stack.workers[0]?.line(/server takes work/);
  const door = String(stack.apis[0]?.details["doorUrl"]);
  await untilServing(door);
  return {
    door,
    secretsOf: async ({ word }) => (await readBelongings(database.url, word)).secrets,
    thingsOf: (tenant) => thingsOf(client, tenant),
    settle: (tenant, socket) => settle(door, tenant, socket),
    keepBusy: (tenant) => keepBusy({ client, door, url: stack.url }, tenant),
    connect: (key) => SocketClient.open(door, names.client, { headers: bearer(key) }),
    stop: async () => {
      await client.end();
      await stack.stop();
      await database.drop();
    },
  };
}

/** The door knows what the server has as soon as the worker has told it. */
async function untilServing(door: string): Promise<void> {
  const read = async (path: string): Promise<unknown> =>
    await (await fetch(`${door}${path}`, { headers: bearer(owner.key) })).json();
  for (;;) {
    const { devices } = (await read("/system_stats")) as { devices: unknown[] };
    const checkpoints = (await read("/models/checkpoints")) as unknown[];
    if (devices.length === tenants.length && checkpoints.length > 0) return;
    await sleep(50);
  }
}

/** Sends the requests of a route's case, with a key as bearer. */
export async function askAll(door: string, route: DoorRoute, key: string): Promise<Seen[]> {
  const { kind, asks } = doorCases[route.id]!;
  const alsoPlain = kind === "changes" ? [""] : ["", "/api"];
  const prefixes = route.isApiOnly === true ? ["/api"] : alsoPlain;
  const seen: Seen[] = [];
  for (const { path, body } of asks(await pictureOf({ r: 128, g: 128, b: 128 }))) {
    for (const prefix of prefixes) {
      const answer = await fetch(`${door}${prefix}${path}`, {
        ...{ method: route.method, headers: bearer(key) },
        ...(body !== undefined && { body: body instanceof FormData ? body : JSON.stringify(body) }),
      });
      seen.push(await seenOf(answer));
    }
  }
  return seen;
}

/** A picture is told as the word of the tenant whose colour it shows. */
async function seenOf(answer: Response): Promise<Seen> {
  const told = [...answer.headers].filter(([name]) => !changing.has(name) && name !== "content-length");
  const bytes = Buffer.from(await answer.arrayBuffer());
  const isPicture = answer.headers.get("content-type")?.startsWith("image/") === true && answer.ok;
  const text = isPicture ? await whosePicture(bytes) : bytes.toString();
  return { status: answer.status, headers: Object.fromEntries(told), text };
}

export async function whosePicture(picture: Uint8Array): Promise<string> {
  const { channels } = await sharp(picture).stats();
  const shows = ({ color: { r, g, b } }: DoorTenant): boolean =>
    [r, g, b].every((value, index) => Math.abs((channels[index]?.mean ?? -99) - value) < 12);
  return `a picture of ${tenants.find(shows)?.word ?? "nobody"}`;
}

async function pictureOf(color: Rgb, alpha = 1): Promise<Blob> {
  const made = sharp({ create: { width: 64, height: 64, channels: 4, background: { ...color, alpha } } });
  return new Blob([new Uint8Array(await made.png().toBuffer())], { type: "image/png" });
}

async function settle(door: string, { word, key, color }: DoorTenant, socket: SocketClient): Promise<void> {
  const forms = [
    ["/upload/image", uploadForm(await pictureOf(color), names.upload)],
    ["/upload/mask", maskForm(await pictureOf(color, 0.5))],
  ] as const;
  for (const [path, body] of forms) {
    const answer = await fetch(`${door}${path}`, { method: "POST", headers: bearer(key), body });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  }
  const { r, g, b } = color;
  const drawn = {
    class_type: "EmptyImage",
    inputs: { width: 64, height: 64, batch_size: 1, color: r * 65_536 + g * 256 + b },
  };
  const { saved, spoken, framed } = names.prompts;
  const prompts = [
    [saved, loading(names.upload)],
    [spoken, { "1": { class_type: "PreviewAny", inputs: { source: word } } }],
    [framed, { "1": drawn, "2": { class_type: "SaveImageWebsocket", inputs: { images: ["1", 0] } } }],
  ] as const;
  for (const [promptId, prompt] of prompts) await post(door, { word, key }, promptId, prompt);
  for (const [promptId] of prompts) await socket.untilEnd(promptId);
}

async function post(
  door: string,
  { word, key }: Pick<DoorTenant, "word" | "key">,
  promptId: string,
  prompt: object,
): Promise<void> {
  const body = {
    ...{ prompt, prompt_id: promptId, client_id: names.client },
    extra_data: { extra_pnginfo: { workflow: { id: names.drawing, title: word } } },
  };
  await postPrompt(door, body, bearer(key));
}

interface OpenPrompt {
  jobId: string;
  promptId: string;
  status: string;
  isLeaving: boolean;
}

async function keepBusy(
  { client, door, url }: { client: pg.Client; door: string; url: string },
  { word, key }: DoorTenant,
): Promise<void> {
  const open = async (): Promise<OpenPrompt[]> => {
    const { rows } = await client.query<OpenPrompt>(
      `SELECT job.id AS "jobId", prompt.prompt_id AS "promptId", status::text, cancel_requested_at IS NOT NULL AS "isLeaving"
       FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id JOIN tenants tenant ON tenant.id = job.tenant_id
       WHERE tenant.name = $1 AND status IN ('queued', 'processing') ORDER BY job.id`,
      [`${word}-studio`],
    );
    return rows;
  };
  const { running, waiting } = names.prompts;
  const found = await open();
  const isThere = (id: string, wanted: string): boolean =>
    found.some(({ promptId, status }) => promptId === id && status === wanted);
  const isAnyLeaving = found.some(({ isLeaving }) => isLeaving);
  if (isThere(running, "processing") && isThere(waiting, "queued") && !isAnyLeaving) return;
  const api = new ApiClient(url, key);
  for (const { jobId } of found) await api.cancel(jobId);
  for (const { jobId } of found) await api.untilEnded(jobId);
  await post(door, { word, key }, running, longWorkflow());
  const [{ jobId }] = (await open()) as [OpenPrompt];
  await api.until(jobId, ({ status }) => status === "processing");
  await post(door, { word, key }, waiting, longWorkflow());
}

/** It runs longer than the test, and can be interrupted at each step. */
function longWorkflow(): object {
  const inputs = { image: ["1", 0], seconds: 600, steps: 1_000, preview: "none", seed: 1 };
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 1 } },
    "2": { class_type: "ProtoSleep", inputs },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "long" } },
  };
}

async function thingsOf(client: pg.Client, { word }: DoorTenant): Promise<string> {
  const { rows } = await client.query<{ things: string }>(
    `SELECT jsonb_build_array(
       (SELECT jsonb_agg(jsonb_build_array(id, status, priority, cancel_requested_at) ORDER BY id) FROM jobs WHERE tenant_id = own.id),
       (SELECT jsonb_agg(jsonb_build_array(job_id, prompt_id, hidden) ORDER BY job_id) FROM door_prompts WHERE tenant_id = own.id),
       (SELECT jsonb_agg(to_jsonb(file) ORDER BY type, subfolder, name) FROM door_files file WHERE tenant_id = own.id),
       (SELECT jsonb_agg(id ORDER BY id) FROM uploads WHERE tenant_id = own.id))::text AS things
     FROM tenants own WHERE name = $1`,
    [`${word}-studio`],
  );
  return rows[0]!.things;
}
