import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { migrate } from "@genga/database";
import { ApiClient, createTestDatabase, startStack, type Stack, type TestDatabase } from "@genga/testing";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Webhook } from "standardwebhooks";
import { z } from "zod";

// Processes that send are killed while the receiver does whatever a receiver may do wrong; then everything has arrived.

const jobsCount = 10;
/** Deliveries are tried for a day; here it is this short, and its hour with it. */
const dayMs = 120_000;
const hourMs = dayMs / 24;
let database: TestDatabase;
let stack: Stack;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({
    ...{ databaseUrl: database.url, apis: 2, workers: 2 },
    env: {
      SECRETS_KEY: "k9vJ0m2Qe5yH7sW1xC4bN8tR3uL6pZ0aD2gF5jK7qM4=",
      LEASE_MS: "3000",
      ...{ WEBHOOKS_ALLOW_HTTP: "true", WEBHOOKS_ALLOW_NETWORKS: "127.0.0.1" },
      ...{ WEBHOOK_TIMEOUT_MS: "1500", WEBHOOK_RETRY_FIRST_MS: "60", WEBHOOK_RETRY_FOR_MS: String(dayMs) },
    },
  });
}, 180_000);
afterAll(async () => {
  await stack.stop();
  await database.drop();
}, 180_000);

const messageSchema = z.object({
  type: z.string(),
  timestamp: z.iso.datetime(),
  data: z.object({
    job: z.object({ id: z.string(), status: z.string() }).optional(),
    batch: z.object({ id: z.string(), counts: z.record(z.string(), z.number()) }).optional(),
  }),
});

/** What a receiver that is not well does to the first attempts of each message: it fails, hangs, hangs up, and fails once more. */
const troubles: readonly ((request: IncomingMessage, response: ServerResponse) => void)[] = [
  (_request, response) => response.writeHead(500).end("no"),
  () => undefined,
  (request) => request.socket.destroy(),
  (_request, response) => response.writeHead(503).end(),
];

class Receiver {
  readonly bodies = new Map<string, string>();
  /** Messages by what they are about, each with the ids under which it was received well. */
  readonly arrived = new Map<string, Set<string>>();
  readonly faults: string[] = [];
  isWell = false;
  readonly #attempts = new Map<string, number>();
  readonly #underWay = new Set<string>();
  #secret = "";
  #server: Server | null = null;
  #port = 0;
  #onChange = (): void => undefined;

  async start(): Promise<string> {
    this.#server = createServer((request, response) => {
      this.#receive(request, response);
    });
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return `http://127.0.0.1:${this.#port}/hook`;
  }

  knows(secret: string): void {
    this.#secret = secret;
  }

  /** As if its machine went away. */
  async die(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }

  /** Resolves when the condition holds, which is looked at after each request. */
  until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = () => {
        if (isTrue()) resolve();
      };
      this.#onChange();
    });
  }

  get attempts(): number {
    return [...this.#attempts.values()].reduce((sum, count) => sum + count, 0);
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const id = String(request.headers["webhook-id"]);
    if (this.#underWay.has(id)) this.faults.push(`${id} came twice at the same time`);
    this.#underWay.add(id);
    response.on("close", () => this.#underWay.delete(id));
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString();
      if ((this.bodies.get(id) ?? body) !== body) this.faults.push(`${id} has another body`);
      this.bodies.set(id, body);
      const attempt = this.#attempts.get(id) ?? 0;
      this.#attempts.set(id, attempt + 1);
      const trouble = this.isWell ? undefined : troubles[attempt];
      if (trouble === undefined) this.#accept(id, body, request, response);
      else trouble(request, response);
      this.#onChange();
    });
  }

  #accept(id: string, body: string, request: IncomingMessage, response: ServerResponse): void {
    // Throws, and so ends the test, when the signature is wrong.
    const verified = new Webhook(this.#secret).verify(body, request.headers as Record<string, string>);
    const { type, data } = messageSchema.parse(verified);
    const about = `${type} ${data.job?.id ?? data.batch?.id ?? ""}`;
    this.arrived.set(about, (this.arrived.get(about) ?? new Set()).add(id));
    response.writeHead(204).end();
  }
}

test("every event reaches a receiver that fails, hangs, and is gone for an hour, while API processes and workers are killed", async () => {
  const receiver = new Receiver();
  const url = await receiver.start();
  const [first, second] = stack.apis;
  const client = new ApiClient(String(second!.details["url"]));
  const added = await new ApiClient(stack.url).request("POST", "webhooks", {
    ...{ url, events: ["job.completed", "batch.ended"] },
  });
  const webhook = z.object({ id: z.string(), secret: z.string() }).parse(await added.json());
  receiver.knows(webhook.secret);
  const workflow = (color: number): object => ({
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  });
  const jobs = Array.from({ length: jobsCount }, (_, color) => ({
    type: "workflow",
    workflow: workflow(color),
  }));
  const batch = await client.submitBatch(jobs);

  // Some requests are under way whenever processes die.
  await receiver.until(() => receiver.attempts >= 4);
  first!.signal("SIGKILL");
  stack.workers[0]!.signal("SIGKILL");
  await receiver.until(() => receiver.attempts >= 12);
  const replacement = await stack.startWorker();
  stack.workers[1]!.signal("SIGKILL");
  await receiver.until(() => receiver.attempts >= 2 * jobsCount);
  await receiver.die();
  await stack.startApi();
  replacement.signal("SIGKILL");
  await stack.startWorker();
  await Promise.all([delay(hourMs), ...batch.jobIds.map((id) => client.untilEnded(id))]);
  const left = await client.request("GET", `webhooks/${webhook.id}/deliveries?status=pending`);
  expect(z.object({ deliveries: z.array(z.unknown()) }).parse(await left.json()).deliveries).not.toEqual([]);
  receiver.isWell = true;
  await receiver.start();

  const expected = [...batch.jobIds.map((id) => `job.completed ${id}`), `batch.ended ${batch.id}`];
  await receiver.until(() => expected.every((about) => receiver.arrived.has(about)));
  expect(receiver.faults).toEqual([]);
  expect([...receiver.arrived.keys()].toSorted()).toEqual(expected.toSorted());
  // Each event has one id, however often it was sent.
  for (const [about, ids] of receiver.arrived) expect([about, ids.size]).toEqual([about, 1]);
  await receiver.die();
}, 180_000);
