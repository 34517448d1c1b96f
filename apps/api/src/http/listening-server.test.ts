import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import express from "express";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { listen, type ListeningServer } from "./listening-server.ts";

let server: ListeningServer;
beforeAll(async () => {
  const app = express();
  app.post("/", express.text(), (_request, response) => {
    response.send("read");
  });
  server = await listen(app, { host: "127.0.0.1", port: 0, requestTimeoutMs: 1_000 });
});
afterAll(() => server.close());

async function connection(): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n";

test("a request of which the head or the body does not arrive in time is answered with 408, and the connection is closed", async () => {
  const parts = [
    "POST / HTTP/1.1\r\nHost: local",
    `${head}Content-Length: 5\r\n\r\nab`,
    `${head}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n`,
  ];
  const answers = parts.map(async (part) => {
    const socket = await connection();
    socket.write(part);
    return text(socket);
  });
  for (const answer of await Promise.all(answers)) {
    expect(answer).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"request-timeout"/);
  }
});

test("a body that arrives in time is read", async () => {
  const socket = await connection();
  socket.write(`${head}Connection: close\r\nContent-Length: 5\r\n\r\nab`);
  socket.write("cde");
  expect(await text(socket)).toMatch(/^HTTP\/1.1 200 [\s\S]*read$/);
});
