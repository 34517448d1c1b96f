import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "@jest/globals";
import { AddressRules } from "../addresses/address-rules.ts";
import { type LookUp } from "../addresses/find-addresses.ts";
import { WebhookSender, type Outcome, type SenderOptions } from "./send-request.ts";
import { certificate, privateKey } from "./receiver-certificate.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    const closed = once(server, "close");
    server.close();
    await closed;
  }
});

/** A receiver on a free loopback port, and the requests that reached it. */
async function receiver(
  answer: RequestListener,
  { isSecure = false } = {},
): Promise<{
  port: number;
  seen: { url: string; headers: Record<string, unknown>; body: string }[];
  server: Server;
}> {
  const seen: { url: string; headers: Record<string, unknown>; body: string }[] = [];
  const listener: RequestListener = (request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => {
      body += part.toString();
    });
    request.on("end", () => {
      seen.push({ url: request.url ?? "", headers: request.headers, body });
      answer(request, response);
    });
  };
  const server = isSecure
    ? createHttpsServer({ cert: certificate, key: privateKey }, listener)
    : createHttpServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return { port: (server.address() as AddressInfo).port, seen, server };
}

function sender(options: Partial<SenderOptions> = {}): WebhookSender {
  const addresses = new AddressRules(["127.0.0.0/8"]);
  return new WebhookSender({ allowHttp: true, addresses, timeoutMs: 10_000, ...options });
}

const body = '{"type":"job.completed"}';
const post = (from: WebhookSender, url: string, signal = new AbortController().signal): Promise<Outcome> =>
  from.post(url, { body, headers: { "webhook-id": "msg_1" }, signal });

const to =
  (...addresses: string[]): LookUp =>
  () =>
    Promise.resolve(addresses);

describe("A request", () => {
  test("reaches the address that was looked up, under the name of its URL", async () => {
    const { port, seen } = await receiver((_request, response) => response.writeHead(204).end());
    const outcome = await post(sender({ lookUp: to("127.0.0.1") }), `http://studio.test:${port}/hook?a=1`);
    expect(outcome).toEqual({ kind: "answered", status: 204, retryAfterMs: null });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({
      ...{ url: "/hook?a=1", body },
      headers: { host: `studio.test:${port}`, "webhook-id": "msg_1", "content-type": "application/json" },
    });
  });

  test("by TLS is for the name of its URL, and checks the certificate of that name", async () => {
    const { port, seen, server } = await receiver((_request, response) => response.end(), { isSecure: true });
    const names: unknown[] = [];
    server.on("secureConnection", ({ servername }: { servername: unknown }) => names.push(servername));
    const trusting = sender({ lookUp: to("127.0.0.1"), trusted: certificate });
    expect(await post(trusting, `https://receiver.test:${port}/`)).toMatchObject({
      kind: "answered",
      status: 200,
    });
    expect(names).toEqual(["receiver.test"]);
    expect(await post(trusting, `https://other.test:${port}/`)).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("certificate") as unknown,
    });
    expect(await post(sender({ lookUp: to("127.0.0.1") }), `https://receiver.test:${port}/`)).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("certificate") as unknown,
    });
    expect(seen).toHaveLength(1);
  });

  test("does not follow a redirect", async () => {
    const inner = await receiver((_request, response) => response.end());
    const { port } = await receiver((_request, response) =>
      response.writeHead(307, { location: `http://127.0.0.1:${inner.port}/` }).end(),
    );
    expect(await post(sender(), `http://127.0.0.1:${port}/`)).toMatchObject({
      kind: "answered",
      status: 307,
    });
    expect(inner.seen).toEqual([]);
  });

  test("receives 64 kB of an answer that has no end", async () => {
    let sent = 0;
    const { port } = await receiver((_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384))) sent += 16_384;
        response.once("drain", more);
      };
      more();
    });
    expect(await post(sender(), `http://127.0.0.1:${port}/`)).toMatchObject({
      kind: "answered",
      status: 200,
    });
    // What was sent beyond is in buffers of the sockets.
    expect(sent).toBeLessThan(64 * 1_024 * 1_024);
  });

  test.each<[string, RequestListener, RegExp]>([
    ["that never answers", () => undefined, /no answer within 0.3 s/],
    [
      "that never ends its answer",
      (_request, response) => response.writeHead(200).write("a"),
      /no answer within/,
    ],
    ["that hangs up", (request) => request.socket.destroy(), /reset|ended/],
    [
      "that ends its answer too early",
      (_request, response) => {
        response.writeHead(200, { "content-length": "100" }).write("a", () => response.destroy());
      },
      /reset|ended/,
    ],
    [
      "with a huge head",
      (_request, response) => response.writeHead(200, { a: "b".repeat(40_000) }).end(),
      /head/,
    ],
  ])("to a receiver %s fails", async (_name, answer, expected) => {
    const { port } = await receiver(answer);
    const impatient = sender({ timeoutMs: expected.source.includes("within") ? 300 : 10_000 });
    expect(await post(impatient, `http://127.0.0.1:${port}/`)).toMatchObject({
      ...{ kind: "failed", reason: expect.stringMatching(expected) as unknown },
    });
  });

  test("to something that is not HTTP fails, and so does one that nobody accepts", async () => {
    const other = createTcpServer((socket) =>
      socket
        .on("error", () => undefined)
        .resume()
        .end("220 mail.test ESMTP\r\n"),
    );
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    expect(await post(sender(), `http://127.0.0.1:${port}/`)).toMatchObject({
      reason: "The answer was not HTTP.",
    });
    const closed = once(other, "close");
    other.close();
    await closed;
    expect(await post(sender(), `http://127.0.0.1:${port}/`)).toMatchObject({
      reason: "The connection was refused.",
    });
  });

  test("says when the receiver wants the next one", async () => {
    const { port } = await receiver((_request, response) =>
      response.writeHead(503, { "retry-after": "7" }).end(),
    );
    expect(await post(sender(), `http://127.0.0.1:${port}/`)).toEqual({
      ...{ kind: "answered", status: 503, retryAfterMs: 7_000 },
    });
  });

  test("ends with its signal", async () => {
    const { port } = await receiver(() => {
      stopping.abort(new Error("stopped"));
    });
    const stopping = new AbortController();
    await expect(post(sender(), `http://127.0.0.1:${port}/`, stopping.signal)).rejects.toThrow("stopped");
  });
});

describe("A name", () => {
  const strict = { addresses: new AddressRules() };

  test("that leads inside is refused with the words for one that leads nowhere, and nothing is connected", async () => {
    const { port, seen } = await receiver((_request, response) => response.end());
    const nowhere: LookUp = () => Promise.reject(new Error("ENOTFOUND inner.test"));
    const reasons = await Promise.all(
      [
        to("127.0.0.1"),
        to("10.0.0.1"),
        to("8.8.8.8", "127.0.0.1"),
        to("::ffff:127.0.0.1"),
        to(),
        nowhere,
      ].map((lookUp) => post(sender({ ...strict, lookUp }), `http://inner.test:${port}/`)),
    );
    expect(new Set(reasons.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
    expect(reasons[0]).toMatchObject({ kind: "failed" });
    expect(seen).toEqual([]);
  });

  test("that leads elsewhere a moment later does not move the connection", async () => {
    const [outside, inside] = [await receiver((_q, r) => r.end()), await receiver((_q, r) => r.end())];
    // The first answer is allowed; every later one would lead to another address.
    const answers = ["127.0.0.2", "127.0.0.1"];
    let asked = 0;
    const rebinding: LookUp = () => Promise.resolve([answers[Math.min(asked++, 1)]!]);
    const rules = { addresses: new AddressRules(["127.0.0.2"]), lookUp: rebinding };
    const from = sender(rules);
    // Nothing listens at 127.0.0.2, so the request fails there, and goes nowhere else.
    expect(await post(from, `http://rebinding.test:${inside.port}/`)).toMatchObject({ kind: "failed" });
    expect(asked).toBe(1);
    // The next request looks anew, and the other address is refused.
    expect(await post(from, `http://rebinding.test:${outside.port}/`)).toMatchObject({
      reason: expect.stringContaining("no address") as unknown,
    });
    expect(asked).toBe(2);
    expect([...outside.seen, ...inside.seen]).toEqual([]);
  });

  test("that DNS servers never answer for takes no longer than a request may", async () => {
    const silent: LookUp = () => new Promise(() => undefined);
    const outcome = await post(sender({ lookUp: silent, timeoutMs: 200 }), "http://slow.test/");
    expect(outcome).toMatchObject({ reason: "There was no answer within 0.2 s." });
  });
});

test("a URL that is no longer allowed gets nothing", async () => {
  const { port, seen } = await receiver((_request, response) => response.end());
  const stricter = sender({ allowHttp: false });
  expect(await post(stricter, `http://127.0.0.1:${port}/`)).toMatchObject({
    reason: "The URL must begin with https://.",
  });
  expect(seen).toEqual([]);
});
