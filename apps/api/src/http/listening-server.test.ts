import { EventEmitter, once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import express from "express";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { listen, type ListeningServer } from "./listening-server.ts";

let server: ListeningServer;
/** The answers that wait to be ended, by the names of their requests. */
const open = new EventEmitter();
const begun: string[] = [];
beforeAll(async () => {
  const app = express();
  app.get("/:name", (request, response) => {
    const { name } = request.params;
    begun.push(name);
    open.once(`end ${name}`, () => response.send(`this is ${name}.`));
    open.once(`write ${name}`, () => response.write("this is"));
    open.emit("begun");
    response.once("close", () => open.emit(`closed ${name}`));
  });
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

const get = (name: string): string => `GET /${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

test("requests that are sent before their answers come are handled in turn", async () => {
  const socket = await connection();
  const begins = once(open, "begun");
  socket.write(get("first") + get("second") + get("third").replace("Host", "Connection: close\r\nHost"));
  await begins;
  for (const name of ["first", "second", "third"]) {
    expect(begun.at(-1)).toBe(name);
    const next = name === "third" ? undefined : once(open, "begun");
    open.emit(`end ${name}`);
    await next;
  }
  expect(await text(socket)).toMatch(/this is first\.[\s\S]*this is second\.[\s\S]*this is third\./);
});

test("a request whose client leaves before its turn is not begun", async () => {
  const socket = await connection();
  const begins = once(open, "begun");
  socket.write(get("long") + get("never"));
  await begins;
  const closed = once(open, "closed long");
  socket.destroy();
  await closed;
  open.emit("end long");
  const other = await connection();
  const beginsAfter = once(open, "begun");
  other.write(get("after"));
  await beginsAfter;
  other.destroy();
  expect(begun.slice(-2)).toEqual(["long", "after"]);
});

test("a client that sends very many requests before their answers is cut off", async () => {
  const socket = await connection();
  const begins = once(open, "begun");
  socket.on("error", () => undefined).write(get("one") + get("more").repeat(101));
  await begins;
  await once(socket.resume(), "close");
  expect(begun.at(-1)).toBe("one");
});

test("what cannot be parsed is never answered into the middle of an answer before it", async () => {
  const socket = await connection();
  const sent = text(socket.on("error", () => undefined)).catch(() => "");
  const begins = once(open, "begun");
  socket.write(get("streamed") + get("waits"));
  await begins;
  // It has the head of the first answer before it sends what is no HTTP.
  const closed = once(open, "closed streamed");
  open.emit("write streamed");
  await once(socket, "data");
  socket.write("this is no HTTP\r\n\r\n");
  await closed;
  expect(await sent).not.toContain("application/problem+json");
});
