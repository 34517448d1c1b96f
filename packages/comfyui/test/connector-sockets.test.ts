import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import {
  connect,
  follow,
  image,
  isMessage,
  serveEachTest,
  server,
  workflow,
} from "./connector-under-test.ts";

serveEachTest();

describe("when the socket fails", () => {
  test("a drop in mid-run leads to a reconnect under the same client id, and the watch goes on", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    server.executing("1");
    await until(isMessage("executing"));
    server.drop(connector.clientId);
    await server.until(() => server.connections.length === 2 && server.isRegistered(connector.clientId));
    // The greeting names the node, not the prompt.
    await until((event) => event.type === "progress" && event.progress.node === "2");
    server.progress("2", 2, 4);
    server.end("success", { outputs: image });
    const events = await ended;
    expect(events.at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(new Set(server.connections)).toEqual(new Set([connector.clientId]));
    expect(server.firstMessages).toHaveLength(2);
  });

  test("a prompt that ended while nobody listened is found in the history", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    await until(isMessage("execution_start"));
    server.onSocket = (socket) => {
      server.end("error");
      server.onSocket = undefined;
      socket.terminate();
      return false;
    };
    const droppedAt = performance.now();
    server.drop(connector.clientId);
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "failed" } });
    // By the look at the new connection; the one of the clock would come after two seconds.
    expect(performance.now() - droppedAt).toBeLessThan(1_500);
  });

  test("a socket that is silently dead is noticed by pings and replaced", async () => {
    const connector = connect({ pingIntervalMs: 20 });
    const promptId = randomUUID();
    // Registered, and then as if the cable were cut: nothing goes in or out.
    server.onSocket = (socket) => {
      setImmediate(() => {
        socket.pause();
      });
      server.onSocket = undefined;
      return true;
    };
    await connector.submit({ promptId, workflow });
    await server.until(() => server.connections.length === 2);
    const { ended } = follow(connector, promptId);
    server.begin();
    server.end();
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a last message that does not come is replaced by a look", async () => {
    const connector = connect({ silenceMs: 50 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended } = follow(connector, promptId);
    server.begin();
    server.end("success", { withoutLast: true });
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a socket that opens and breaks at once is not hammered", async () => {
    const connector = connect({ backoff: { minMs: 20, maxMs: 200 } });
    server.onSocket = (socket) => {
      socket.terminate();
      return false;
    };
    await expect(connector.connect()).rejects.toMatchObject({ errorClass: "server" });
    const beganAt = performance.now();
    const others = server.connections.length + 5;
    while (server.connections.length < others) await nextTurn();
    // 20 ms apart at the very least; a timer may be a millisecond early.
    expect(performance.now() - beganAt).toBeGreaterThan(5 * 18);
    server.onSocket = undefined;
    await connector.connect().catch(() => undefined); // an attempt that is under way may still break
    await connector.connect();
    expect(connector.isConnected).toBe(true);
  });
});

describe("the stale-socket trap", () => {
  test("a dead worker's socket that closes late cuts us off, and we come back by ourselves", async () => {
    const clientId = "dead-worker";
    const deadWorker = connect({ clientId });
    const promptId = randomUUID();
    await deadWorker.submit({ promptId, workflow });
    server.begin();
    // The successor adopts the prompt while the old socket lingers.
    const successor = connect({ silenceMs: 100 });
    const { ended, until, events } = follow(successor, promptId, { clientId, workflow });
    await server.until(() => server.connections.length === 2);
    server.executing("1");
    await until(isMessage("executing"));
    await deadWorker.close();
    await server.until(() => !server.isRegistered(clientId));
    // Not even a broadcast arrives now; the socket still answers pings.
    await server.until(() => server.connections.length >= 3 && server.isRegistered(clientId));
    server.progress("2", 1, 2);
    await until(isMessage("progress"));
    server.end();
    await ended;
    expect(events.at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(successor.counters.reopened).toBeGreaterThanOrEqual(1);
  });

  test("our own old socket is closed, and its end awaited, before a new one opens with its client id", async () => {
    const connector = connect({ silenceMs: 40 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended } = follow(connector, promptId);
    server.begin();
    await server.until(() => server.connections.length >= 3);
    expect(server.socketsOfOneClientMax).toBe(1);
    await server.until(() => server.isRegistered(connector.clientId));
    server.end();
    await ended;
  });

  test("an adopted client id's socket is closed with its last watch, and does not count as lost", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.enqueue(promptId, "predecessor", workflow);
    const { ended } = follow(connector, promptId, { clientId: "predecessor", workflow });
    await server.until(() => server.isRegistered("predecessor"));
    server.begin();
    server.end();
    await ended;
    await server.until(() => !server.isRegistered("predecessor"));
    await connector.close();
    expect(connector.counters).toMatchObject({ reopened: 0, disconnects: 0 });
  });
});
