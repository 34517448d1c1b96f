import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type ServiceProcess,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import { z } from "zod";

// One trace from a client's request to the storage of its outputs, told to a stand-in for a collector.

const attributeSchema = z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) });
const spanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes: z.array(attributeSchema).default([]),
});
type Span = z.output<typeof spanSchema>;
const tracesSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attributeSchema) }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});

const spans: (Span & { service: unknown })[] = [];
const webhookBodies: string[] = [];
let standIn: Server;
let database: TestDatabase;
let stack: Stack;
let traced: ServiceProcess;
let untraced: ServiceProcess;

/** Makes a process say which files of OpenTelemetry it loads. Its small `api` is there for prom-client. */
const tellsLoading = `--import=data:text/javascript,${encodeURIComponent(`
  import { Session } from "node:inspector";
  const session = new Session();
  session.connect();
  session.on("Debugger.scriptParsed", ({ params }) => {
    if (/@opentelemetry\\/(?!api\\/)/.test(params.url)) console.log("loaded: " + params.url);
  });
  session.post("Debugger.enable");
`)}`;

function noteTraces(body: string): void {
  for (const { resource, scopeSpans } of tracesSchema.parse(JSON.parse(body)).resourceSpans) {
    const service = resource.attributes.find(({ key }) => key === "service.name")?.value["stringValue"];
    spans.push(...scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ ...span, service }))));
  }
}

beforeAll(async () => {
  standIn = createServer((request, response) => {
    void request.toArray().then((chunks: Buffer[]) => {
      const body = Buffer.concat(chunks).toString();
      if (request.url === "/v1/traces") noteTraces(body);
      else webhookBodies.push(body);
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(standIn, "listening");
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({
    ...{ databaseUrl: database.url, apis: 0 },
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: urlOfStandIn(),
      SECRETS_KEY: "k9vJ0m2Qe5yH7sW1xC4bN8tR3uL6pZ0aD2gF5jK7qM4=",
      ...{ WEBHOOKS_ALLOW_HTTP: "true", WEBHOOKS_ALLOW_NETWORKS: "127.0.0.1" },
      NODE_OPTIONS: tellsLoading,
    },
  });
  [traced, untraced] = await Promise.all([
    stack.startApi(),
    stack.startApi({ OTEL_EXPORTER_OTLP_ENDPOINT: "" }),
  ]);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await database.drop();
  standIn.close();
}, 180_000);

function urlOfStandIn(): string {
  return `http://127.0.0.1:${(standIn.address() as AddressInfo).port}`;
}

const clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const clientSpan = "00f067aa0ba902b7";
const traceparent = `00-${clientTrace}-${clientSpan}-01`;

const acceptedSchema = z.object({ id: z.string() });
const shownSchema = z.looseObject({ status: z.string(), traceId: z.string().nullable() });

async function submit(
  service: ServiceProcess,
  headers: Record<string, string>,
  more: object = {},
): Promise<string> {
  const response = await fetch(new URL("/api/anime/generate", String(service.details["url"])), {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ type: "workflow", workflow: sleepWorkflow(0.01), ...more }),
  });
  expect(response.status).toBe(202);
  return acceptedSchema.parse(await response.json()).id;
}

async function traceOf(id: string): Promise<string | null> {
  const response = await fetch(new URL(`/api/anime/job/${id}`, String(untraced.details["url"])));
  return shownSchema.parse(await response.json()).traceId;
}

test("a request without tracing keeps its place in the client's trace; a malformed one changes nothing", async () => {
  expect(await traceOf(await submit(untraced, { traceparent }))).toBe(clientTrace);
  expect(await traceOf(await submit(untraced, {}))).toBeNull();
  for (const hostile of [
    "",
    "x".repeat(8_000),
    `${traceparent}, ${traceparent}`,
    `00-${"0".repeat(32)}-${clientSpan}-01`,
  ])
    expect(await traceOf(await submit(untraced, { traceparent: hostile }))).toBeNull();
  // With tracing, such a request begins a trace of its own.
  const own = await traceOf(await submit(traced, { traceparent: "00-<script>-'; --" }));
  expect(own).toMatch(/^[0-9a-f]{32}$/);
  expect(own).not.toBe(clientTrace);
});

test("one trace goes from the client's request over queue, attempt and ComfyUI to the storage, and into logs and webhooks", async () => {
  const api = new ApiClient(String(untraced.details["url"]));
  const secret = `whsec_${Buffer.alloc(32, "secret").toString("base64")}`;
  const webhook = { url: `${urlOfStandIn()}/hook`, secret, events: ["job.completed"] };
  const id = await submit(traced, { traceparent }, { webhook });
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed", traceId: clientTrace });
  while (webhookBodies.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(JSON.parse(webhookBodies[0]!)).toMatchObject({ data: { job: { id, traceId: clientTrace } } });
  const told = JSON.stringify({ traceId: clientTrace }).slice(1, -1);
  for (const service of [traced, ...stack.workers])
    expect(service.lines.some((line) => line.includes(told))).toBe(true);

  // Processes that stop tell what they have not told yet.
  await Promise.all([traced, ...stack.workers].map((service) => service.stop()));
  const ofTrace = spans.filter(({ traceId }) => traceId === clientTrace);
  const one = (name: string): Span & { service: unknown } => {
    const found = ofTrace.filter((span) => span.name === name && isOfJob(span, ofTrace, id));
    expect([name, found.length]).toEqual([name, 1]);
    return found[0]!;
  };
  const [queue, attempt] = [one("queue"), one("attempt")];
  const submitted = ofTrace.find(({ spanId }) => spanId === attempt.parentSpanId);
  const [comfyui, storage] = [one("comfyui"), one("storage")];
  expect(submitted).toMatchObject({ name: "submit job", parentSpanId: clientSpan, service: "genga-api" });
  expect(queue).toMatchObject({ parentSpanId: submitted?.spanId, service: "genga-worker" });
  expect(attempt).toMatchObject({ service: "genga-worker" });
  expect(comfyui.parentSpanId).toBe(attempt.spanId);
  expect(storage.parentSpanId).toBe(attempt.spanId);
  const outcome = attempt.attributes.find(({ key }) => key === "genga.outcome");
  expect(outcome?.value).toEqual({ stringValue: "completed" });
  for (const { startTimeUnixNano, endTimeUnixNano } of ofTrace)
    expect(BigInt(endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(startTimeUnixNano));
  expect(BigInt(comfyui.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(storage.startTimeUnixNano));
}, 180_000);

/** The span names the job, or its parent does. */
function isOfJob(span: Span, all: readonly Span[], id: string): boolean {
  const named = (each: Span | undefined): boolean =>
    each?.attributes.some(({ key, value }) => key === "genga.job.id" && value["stringValue"] === id) ?? false;
  return named(span) || named(all.find(({ spanId }) => spanId === span.parentSpanId));
}

test("a process without a collector does not load the SDK", () => {
  const loads = ({ lines }: ServiceProcess): boolean => lines.some((line) => line.startsWith("loaded: "));
  expect([traced, ...stack.workers].map(loads)).toEqual([true, true]);
  expect(loads(untraced)).toBe(false);
});
