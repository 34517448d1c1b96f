import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { once } from "node:events";
import { type AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { type PythonValue } from "../../src/python/python-values.ts";
import { parsePythonJson } from "../../src/python/python-json.ts";
import { type RecordedEvent } from "./recording.ts";
import { replayRecording } from "./replay-recording.ts";

const status = (left: number): object => ({
  type: "status",
  data: { status: { exec_info: { queue_remaining: left } } },
});
const start = { type: "execution_start", data: { prompt_id: "p" } };
const progress = { type: "progress", data: { value: 1, max: 2 } };

let server: WebSocketServer;
let told: readonly object[] = [];

beforeAll(async () => {
  server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => {
    for (const message of told) socket.send(JSON.stringify(message));
  });
  await once(server, "listening");
});
afterAll(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
});

/** The differences between messages that a client recorded and messages that the server sends now. */
async function differences(recorded: readonly object[], sent: readonly object[]): Promise<string[]> {
  told = sent;
  const event = (kind: string, more: Record<string, PythonValue> = {}): RecordedEvent => ({
    kind,
    fields: new Map<string, PythonValue>([["t", 0], ["ws", "A"], ["path", "/ws"], ...Object.entries(more)]),
  });
  const events = [
    ...[event("ws_connect"), event("ws_open")],
    ...recorded.map((message) => event("ws_recv", { msg: parsePythonJson(JSON.stringify(message)) })),
  ];
  const { port } = server.address() as AddressInfo;
  const result = await replayRecording(`http://127.0.0.1:${port}`, events, { silenceMs: 2_000 });
  return result.differences.map(({ text }) => text);
}

test("a status that comes later than recorded is one difference where it is missing, and one where it comes", async () => {
  const recorded = [status(2), start, progress, status(1)];
  expect(await differences(recorded, recorded)).toEqual([]);
  expect(await differences(recorded, [start, status(2), progress, status(1)])).toEqual([
    expect.stringMatching(/A message status did not come before .*execution_start/),
    expect.stringMatching(/A message status came before progress/),
  ]);
});

test("a message that is missing beside a moved status is a difference of its own", async () => {
  expect(await differences([status(2), start, progress], [start, status(2)])).toEqual([
    expect.stringMatching(/A message status did not come/),
    expect.stringMatching(/A message status came before progress/),
    expect.stringMatching(/A got nothing instead of .*progress/),
  ]);
});
