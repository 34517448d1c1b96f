import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { Webhook } from "standardwebhooks";
import { v7 as uuidv7 } from "uuid";
import { type z } from "zod";
import { createReceiver, type Message } from "../../../packages/webhooks/test/receiver.ts";
import { deliveryViewSchema, toldWebhookSchema, webhookViewSchema } from "../src/schemas/webhooks.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

type Delivery = z.infer<typeof deliveryViewSchema>;

const keys = {
  studio: "key-of-studio",
  reader: "key-that-reads",
  atelier: "key-of-atelier",
  operator: "key-that-operates",
};
const secretsKey = "k9vJ0m2Qe5yH7sW1xC4bN8tR3uL6pZ0aD2gF5jK7qM4=";
let api: ApiUnderTest;
let serverId: string;
const receivers: Server[] = [];

beforeAll(async () => {
  api = await startApiUnderTest({
    env: {
      API_KEYS: `studio:submit:${keys.studio},studio:read:${keys.reader},atelier:submit:${keys.atelier},house:operate:${keys.operator}`,
      SECRETS_KEY: secretsKey,
      PUBLIC_URL: "https://genga.example",
      ...{ WEBHOOKS_ALLOW_HTTP: "true", WEBHOOKS_ALLOW_NETWORKS: "127.0.0.1/32", WEBHOOKS_PER_TENANT: "3" },
      ...{ WEBHOOK_RETRY_FIRST_MS: "20", WEBHOOK_RETRY_FOR_MS: "60000" },
    },
  });
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());
afterEach(async () => {
  const { webhooks } = (await (await ask("GET", "webhooks")).json()) as { webhooks: { id: string }[] };
  for (const { id } of webhooks) await ask("DELETE", `webhooks/${id}`);
  for (const server of receivers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

function ask(method: string, path: string, body?: unknown, key = keys.studio): Promise<Response> {
  return api.request(path, {
    method,
    headers: { "x-api-key": key, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  receivers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
}

/** A receiver that answers as it is told, and the requests that it got. */
async function receive(
  answer: RequestListener = (_request, response) => response.writeHead(204).end(),
): Promise<{ url: string; next: () => Promise<Received> }> {
  const waiting: ((received: Received) => void)[] = [];
  const got: Received[] = [];
  const url = await listen(
    createServer((request, response) => {
      let body = "";
      request.on("data", (part: Buffer) => (body += part.toString()));
      request.on("end", () => {
        const received = { headers: request.headers as Record<string, string>, body };
        const taker = waiting.shift();
        if (taker === undefined) got.push(received);
        else taker(received);
        answer(request, response);
      });
    }),
  );
  const next = (): Promise<Received> => {
    const first = got.shift();
    return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first);
  };
  return { url, next };
}
interface Received {
  headers: Record<string, string>;
  body: string;
}

async function addWebhook(body: object, key = keys.studio): Promise<z.infer<typeof toldWebhookSchema>> {
  const response = await ask("POST", "webhooks", body, key);
  expect(response.status).toBe(201);
  return toldWebhookSchema.parse(await response.json());
}

/** What a worker does each second. */
async function passOn(): Promise<void> {
  const { deliveries } = await api.database.eventSequencer.assignPositions(1_000);
  api.signals.publish("deliveries-due", { deliveries });
}

async function submit(
  job: object = { type: "image", prompt: "a lighthouse" },
  key = keys.studio,
): Promise<string> {
  const response = await ask("POST", "generate", job, key);
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}

async function complete(job?: object): Promise<string> {
  const id = await submit(job);
  const body = Buffer.from("not a picture");
  await api.worker.complete(
    await api.worker.claim(id, serverId),
    [{ filename: "a.png", body }],
    ["a secret text"],
  );
  await passOn();
  return id;
}

/** The delivery as it is once the condition holds. */
async function until(id: string, test: (delivery: Delivery) => boolean): Promise<Delivery> {
  for (;;) {
    const delivery = deliveryViewSchema.parse(await (await ask("GET", `webhook-deliveries/${id}`)).json());
    if (test(delivery)) return delivery;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function deliveriesOf(webhookId: string): Promise<Delivery[]> {
  const page = await (await ask("GET", `webhooks/${webhookId}/deliveries`)).json();
  return (page as { deliveries: Delivery[] }).deliveries;
}

test("the receiver of the documentation gets a verified message that links to the outputs, and contains none of them", async () => {
  const secret = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;
  let arrive: (arrived: { message: Message; id: string }) => void;
  const arrived = new Promise<{ message: Message; id: string }>((resolve) => {
    arrive = resolve;
  });
  const receiver = createReceiver(secret, (message, id) => {
    arrive({ message, id });
  });
  await addWebhook({ url: await listen(receiver), secret });
  const id = await complete({ type: "image", prompt: "a lighthouse", project: "opening" });
  const { message, id: messageId } = await arrived;
  const base = "https://genga.example/api/anime";
  expect(message).toMatchObject({
    type: "job.completed",
    data: {
      job: {
        ...{
          id,
          type: "image",
          status: "completed",
          attempt: 1,
          project: "opening",
          failure: null,
          outputCount: 2,
        },
        outputs: [
          {
            index: 0,
            kind: "file",
            filename: "a.png",
            links: { content: expect.stringContaining(`${base}/outputs/`) as unknown },
          },
          { index: 1, kind: "text" },
        ],
        links: { self: `${base}/jobs/${id}`, outputs: `${base}/jobs/${id}/outputs` },
      },
    },
  });
  expect(messageId).toBe(`msg_${id.replaceAll("-", "")}_3`);
  expect(JSON.stringify(message)).not.toMatch(/secret text|lighthouse|comfyui/);
});

test("a failing receiver gets the same message again until it answers", async () => {
  let failures = 3;
  const { url, next } = await receive((_request, response) => {
    failures -= 1;
    response.writeHead(failures >= 0 ? 500 : 200).end("an inner secret");
  });
  const { id: webhookId, secret } = await addWebhook({ url });
  await complete();
  const attempts = [await next(), await next(), await next(), await next()];
  expect(new Set(attempts.map(({ body }) => body)).size).toBe(1);
  expect(new Set(attempts.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  for (const { headers, body } of attempts) expect(new Webhook(secret).verify(body, headers)).toBeTruthy();
  const [delivery] = await deliveriesOf(webhookId);
  expect(await until(delivery!.id, ({ status }) => status === "delivered")).toMatchObject({
    ...{ attempts: 4, lastStatus: 200, lastError: null },
  });
  expect(api.logged.join()).not.toContain(secret);
  expect(JSON.stringify(await deliveriesOf(webhookId))).not.toContain("inner secret");
});

test("a redirect is a failure, and a receiver that is gone disables its webhook until it is enabled again", async () => {
  const answers = [307, 410, 200];
  const { url, next } = await receive((_request, response) =>
    response.writeHead(answers.shift() ?? 200, { location: "http://127.0.0.1:1/" }).end(),
  );
  const { id } = await addWebhook({ url });
  await complete();
  await next();
  await next();
  const [delivery] = await deliveriesOf(id);
  expect(await until(delivery!.id, ({ status }) => status === "failed")).toMatchObject({ lastStatus: 410 });
  expect(await (await ask("GET", `webhooks/${id}`)).json()).toMatchObject({
    enabled: false,
    disabledReason: "gone",
  });
  for (const path of [`webhooks/${id}/test`, `webhook-deliveries/${delivery!.id}/redeliver`]) {
    const refused = await ask("POST", path);
    expect([refused.status, await refused.json()]).toMatchObject([409, { code: "webhook-disabled" }]);
  }
  const enabled = await ask("PATCH", `webhooks/${id}`, { enabled: true });
  expect(webhookViewSchema.parse(await enabled.json())).toMatchObject({ enabled: true, failingSince: null });
  expect((await ask("POST", `webhook-deliveries/${delivery!.id}/redeliver`)).status).toBe(202);
  expect((await next()).headers["webhook-id"]).toBe(delivery!.messageId);
  await until(delivery!.id, ({ status }) => status === "delivered");
});

test("during a rotation both secrets verify, and a test says that it is one", async () => {
  const { url, next } = await receive();
  const { id, secret: old } = await addWebhook({ url });
  const rotated = toldWebhookSchema.parse(await (await ask("POST", `webhooks/${id}/rotate`)).json());
  expect(rotated.secret).not.toBe(old);
  const test = deliveryViewSchema.parse(await (await ask("POST", `webhooks/${id}/test`)).json());
  const { headers, body } = await next();
  for (const secret of [old, rotated.secret]) {
    expect(new Webhook(secret).verify(body, headers)).toMatchObject({ type: "webhook.test", data: {} });
  }
  await until(test.id, ({ status }) => status === "delivered");
  const last = toldWebhookSchema.parse(
    await (await ask("POST", `webhooks/${id}/rotate`, { overlapMinutes: 0 })).json(),
  );
  expect((await ask("POST", `webhooks/${id}/test`)).status).toBe(202);
  const later = await next();
  expect(new Webhook(last.secret).verify(later.body, later.headers)).toBeTruthy();
  expect(() => new Webhook(rotated.secret).verify(later.body, later.headers)).toThrow();
});

describe("A submission", () => {
  const secret = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;

  test("may name a webhook for a job, which is told of that one alone", async () => {
    const { url, next } = await receive();
    const webhook = { url, secret, events: ["job.completed"] };
    await complete();
    const id = await complete({ type: "image", prompt: "a lighthouse", webhook });
    const { headers, body } = await next();
    expect(new Webhook(secret).verify(body, headers)).toMatchObject({
      data: { job: { id, status: "completed" } },
    });
    const view = webhookViewSchema.parse(await (await ask("GET", `webhooks/${id}`)).json());
    expect(view).toMatchObject({ id, scope: "job", url, events: ["job.completed"], enabled: true });
    expect(await deliveriesOf(id)).toHaveLength(1);
    expect((await ask("GET", `webhooks/${id}`, undefined, keys.atelier)).status).toBe(404);
    // It is not one of the tenant's few, and nothing shows its secret.
    expect(await (await ask("GET", "webhooks")).json()).toEqual({ webhooks: [] });
    for (const path of [`jobs/${id}`, `jobs/${id}/parameters`, `webhooks/${id}`])
      expect(await (await ask("GET", path)).text()).not.toContain(secret);
    expect(api.logged.join()).not.toContain(secret);
  });

  test("may name one for a batch, beside one of a job of it", async () => {
    const [ofBatch, ofJob] = [await receive(), await receive()];
    const job = { type: "image", prompt: "a lighthouse" };
    const response = await ask("POST", "batches", {
      webhook: { url: ofBatch.url, secret, events: ["job.cancelled", "batch.ended"] },
      jobs: [{ ...job, webhook: { url: ofJob.url, secret } }, job],
    });
    const { id, jobs } = (await response.json()) as { id: string; jobs: { id: string }[] };
    expect((await ask("POST", `batches/${id}/cancel`)).status).toBe(202);
    await passOn();
    const told = await Promise.all([ofBatch.next(), ofBatch.next(), ofBatch.next()]);
    const said = told.map(({ headers, body }) => new Webhook(secret).verify(body, headers) as Message);
    expect(said.map(({ type }) => type).toSorted()).toEqual([
      "batch.ended",
      "job.cancelled",
      "job.cancelled",
    ]);
    expect(said.find(({ type }) => type === "batch.ended")?.data).toMatchObject({
      batch: {
        id,
        total: 2,
        counts: { cancelled: 2 },
        links: { self: `https://genga.example/api/anime/batches/${id}` },
      },
    });
    const { body } = await ofJob.next();
    expect(JSON.parse(body)).toMatchObject({ data: { job: { id: jobs[0]!.id, batchId: id } } });
    // The job without one of its own has not inherited that of the batch.
    expect((await ask("GET", `webhooks/${jobs[1]!.id}`)).status).toBe(404);
    expect(await deliveriesOf(id)).toHaveLength(3);
  });

  test("that is removed at once still has its end told, and then its webhook goes", async () => {
    const { url, next } = await receive();
    const id = await submit({ type: "image", prompt: "a lighthouse", webhook: { url, secret } });
    await ask("POST", `jobs/${id}/cancel`);
    expect((await ask("DELETE", `jobs/${id}`)).status).toBe(204);
    await passOn();
    expect(JSON.parse((await next()).body)).toMatchObject({ type: "job.cancelled", data: { job: { id } } });
    const [delivery] = await deliveriesOf(id);
    await until(delivery!.id, ({ status }) => status === "delivered");
    await api.database.webhookQueue.removeOld(-1, 1_000);
    expect((await ask("GET", `webhooks/${id}`)).status).toBe(404);
  });

  test.each<[string, object, string]>([
    ["an inner address", { url: "https://192.168.0.1/", secret }, "webhook.url"],
    ["no secret", { url: "https://studio.example/" }, "webhook.secret"],
    ["a short secret", { url: "https://studio.example/", secret: "whsec_YQ==" }, "webhook.secret"],
    ["an unknown field", { url: "https://studio.example/", secret, id: uuidv7() }, "webhook.id"],
  ])("with a webhook with %s is refused by its field, alone and in a batch", async (_name, webhook, path) => {
    const job = { type: "image", prompt: "a lighthouse" };
    for (const [to, body, at] of [
      ["generate", { ...job, webhook }, path],
      ["batches", { jobs: [job], webhook }, path],
      ["batches", { jobs: [job, { ...job, webhook }] }, `jobs.1.${path}`],
    ] as const) {
      const response = await ask("POST", to, body);
      const { problems = [] } = (await response.json()) as { problems?: { path: string }[] };
      expect([to, response.status, problems.map((problem) => problem.path)]).toEqual([to, 422, [at]]);
    }
  });
});

describe("What is not valid is refused by its field", () => {
  test.each<[string, object, string]>([
    ["no URL", { url: "studio" }, "url"],
    ["a private address", { url: "https://10.0.0.1/" }, "url"],
    ["the metadata of a cloud", { url: "http://169.254.169.254/latest" }, "url"],
    ["a password", { url: "https://a:b@studio.example/" }, "url"],
    ["a line break", { url: "https://studio.example/\r\nx: y" }, "url"],
    ["an unknown event", { url: "https://studio.example/", events: ["job.exploded"] }, "events"],
    ["an event twice", { url: "https://studio.example/", events: ["job.failed", "job.failed"] }, "events"],
    ["no event", { url: "https://studio.example/", events: [] }, "events"],
    ["a short secret", { url: "https://studio.example/", secret: "whsec_YQ==" }, "secret"],
    ["an unknown field", { url: "https://studio.example/", tenantId: uuidv7() }, "tenantId"],
    [
      "a prototype",
      JSON.parse('{"url": "https://studio.example/", "__proto__": {"a": 1}}') as object,
      "__proto__",
    ],
  ])("%s", async (_name, body, path) => {
    const response = await ask("POST", "webhooks", body);
    expect(response.status).toBe(422);
    const { problems } = (await response.json()) as { problems?: { path: string }[] };
    expect(problems?.map((problem) => problem.path.split(".")[0])).toEqual([path]);
  });

  test("more webhooks than a tenant may have", async () => {
    const body = { url: "https://studio.example/" };
    for (let count = 0; count < 3; count += 1) await addWebhook(body);
    expect((await ask("POST", "webhooks", body)).status).toBe(409);
    expect((await ask("POST", "webhooks", body, keys.reader)).status).toBe(403);
  });

  test("any, where SECRETS_KEY is not set", async () => {
    const another = await api.startAnother({ SECRETS_KEY: "" });
    const response = await api.request(`${another.url}/api/anime/webhooks`, {
      method: "POST",
      headers: { "x-api-key": keys.studio, "content-type": "application/json" },
      body: JSON.stringify({ url: "https://studio.example/" }),
    });
    expect([response.status, await response.json()]).toMatchObject([422, { code: "secrets-key-missing" }]);
  });
});

test("another tenant's webhooks and deliveries are as if they did not exist, and are told of nothing", async () => {
  const { url, next } = await receive();
  const theirs = await receive();
  const { id } = await addWebhook({ url });
  const stranger = await addWebhook({ url: theirs.url }, keys.atelier);
  await complete();
  await next();
  const [delivery] = await deliveriesOf(id);
  const requests: [string, string, object?][] = [
    ...[`webhooks/${id}`, `webhooks/${id}/deliveries`, `webhook-deliveries/${delivery!.id}`].map(
      (path): [string, string] => ["GET", path],
    ),
    ["PATCH", `webhooks/${id}`, { enabled: false }],
    ["DELETE", `webhooks/${id}`],
    ...[`webhooks/${id}/rotate`, `webhooks/${id}/test`, `webhook-deliveries/${delivery!.id}/redeliver`].map(
      (path): [string, string] => ["POST", path],
    ),
  ];
  for (const [method, path, body] of requests)
    expect([method, path, (await ask(method, path, body, keys.atelier)).status]).toEqual([method, path, 404]);
  const page = await (await ask("GET", `webhooks/${stranger.id}/deliveries`, undefined, keys.atelier)).json();
  expect(page).toEqual({ deliveries: [], nextCursor: null });
  expect((await ask("GET", `webhooks/${id}`)).status).toBe(200);
  await ask("DELETE", `webhooks/${stranger.id}`, undefined, keys.atelier);
});

test("deliveries are listed page by page and by status, and figures are in the metrics", async () => {
  const { url, next } = await receive();
  const { id } = await addWebhook({ url, events: ["job.cancelled"] });
  const ids = await Promise.all([submit(), submit(), submit()]);
  for (const job of ids) await ask("POST", `jobs/${job}/cancel`);
  await passOn();
  await Promise.all(ids.map(() => next()));
  for (const { id: each } of await deliveriesOf(id))
    await until(each, ({ status }) => status === "delivered");
  const seen: string[] = [];
  let query: string | null = "?limit=2&status=delivered";
  while (query !== null) {
    const page = (await (await ask("GET", `webhooks/${id}/deliveries${query}`)).json()) as {
      deliveries: Delivery[];
      nextCursor: string | null;
    };
    seen.push(...page.deliveries.map((each) => each.id));
    query = page.nextCursor === null ? null : `?limit=2&status=delivered&cursor=${page.nextCursor}`;
  }
  expect(new Set(seen).size).toBe(3);
  const metrics = await (await api.request("/metrics", { headers: { "x-api-key": keys.operator } })).text();
  expect(metrics).toMatch(/^genga_webhook_attempts_total\{outcome="delivered",service="api"\} [1-9]/m);
  expect(metrics).toMatch(/^genga_webhook_deliveries_pending\{service="api"\} \d+$/m);
});
