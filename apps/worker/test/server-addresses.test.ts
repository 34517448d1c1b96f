import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ApiClient, startStack, type Stack, type TestDatabase } from "@genga/testing";
import pg from "pg";
import { createMigratedDatabase } from "./support/test-stack.ts";

// A server behind a proxy that wants user and password, named with an upper-case host: the worker gets through, and the
// password is in no row, answer or log.

const password = "hunter2-p@ss";
const authorization = `Basic ${Buffer.from(`studio:${password}`).toString("base64")}`;

let database: TestDatabase;
let stack: Stack;
let proxy: Server;
const sockets = new Set<Socket>();
/** How the connections through the proxy began. */
const requests: string[] = [];

beforeAll(async () => {
  database = await createMigratedDatabase();
  stack = await startStack({ databaseUrl: database.url, workers: 0 });
  const target = Number(new URL(stack.simulators[0]!.url).port);
  proxy = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", (chunk) => {
      const [line = ""] = chunk.toString("latin1").split("\r\n", 1);
      if (!chunk.toString("latin1").toLowerCase().includes(`authorization: ${authorization.toLowerCase()}`)) {
        socket.end("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
      }
      requests.push(line);
      const onward = connect(target, "127.0.0.1");
      sockets.add(onward);
      onward.on("error", () => undefined);
      onward.write(chunk);
      socket.pipe(onward).pipe(socket);
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
}, 180_000);

afterAll(async () => {
  await stack.stop();
  for (const socket of sockets) socket.destroy();
  proxy.close();
  await database.drop();
}, 180_000);

test("user and password open the proxy for requests and socket, and are nowhere to be read", async () => {
  const { port } = proxy.address() as AddressInfo;
  const url = `HTTP://studio:${encodeURIComponent(password)}@LOCALHOST:${port}/`;
  const worker = await stack.startWorker({ COMFYUI_URLS: url, SERVER_NAME: "pod-7", LOG_LEVEL: "trace" });
  const api = new ApiClient(stack.url);
  const job = await api.untilEnded(
    await api.submit({ type: "image", prompt: "a door", width: 256, height: 256, steps: 1 }),
  );
  expect([job.status, job.failure]).toEqual(["completed", null]);
  expect(requests.some((line) => line.startsWith("GET /ws"))).toBe(true);

  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query<{ url: string }>("SELECT url FROM servers");
  expect(rows).toEqual([{ url: `http://localhost:${port}#pod-7` }]);
  const { rows: dump } = await client.query<{ text: string }>(
    "SELECT database_to_xml(true, false, '')::text AS text",
  );
  await client.end();
  const answers = await Promise.all(
    ["servers", "health", "queue", `job/${job.id}`, `jobs/${job.id}/attempts`].map(async (path) =>
      (await api.request("GET", path)).text(),
    ),
  );
  const all = [dump[0]!.text, ...answers, ...worker.lines].join("\n");
  for (const secret of ["hunter2", encodeURIComponent(password), authorization.slice(6)]) {
    expect(all).not.toContain(secret);
  }
}, 180_000);
