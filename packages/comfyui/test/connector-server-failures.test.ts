import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import {
  connect,
  follow,
  isMessage,
  isType,
  serveEachTest,
  server,
  workflow,
} from "./connector-under-test.ts";
import { answer } from "./scripted-comfyui.ts";

serveEachTest();

describe("when the server fails", () => {
  test("a server frozen for a while is told as unreachable, then reachable, and nothing is lost", async () => {
    const connector = connect({ silenceMs: 50, requestTimeoutMs: 1_000, pingIntervalMs: 200 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    await until(isMessage("execution_start"));
    server.freeze();
    const lost = await until(isType("unreachable"));
    expect(lost).toMatchObject({ error: { code: "request_timeout" } });
    server.unfreeze();
    await until(isType("reachable"));
    await server.until(() => server.isRegistered(connector.clientId));
    server.end();
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a server that stays away ends the watch when its time is up", async () => {
    const connector = connect({ silenceMs: 30 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId, { unreachableMs: 100 });
    server.begin();
    await until(isMessage("execution_start"));
    await server.kill();
    await expect(ended).rejects.toMatchObject({ code: "server_unreachable", errorClass: "server" });
  });

  test("a restart loses the running prompt, says so, and the next prompt runs", async () => {
    const connector = connect({ silenceMs: 100 });
    const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()];
    await connector.submit({ promptId: first, workflow });
    server.begin();
    server.end();
    expect((await follow(connector, first).ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
    await connector.submit({ promptId: second, workflow });
    const running = follow(connector, second);
    server.begin();
    await running.until(isMessage("execution_start"));
    await server.kill();
    await server.listen();
    expect((await running.ended).at(-1)).toEqual({
      type: "settled",
      lookup: { state: "absent", others: [] },
    });
    await connector.submit({ promptId: third, workflow });
    server.begin();
    server.end();
    expect((await follow(connector, third).ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a slow history is waited for, and a wrong one is no end", async () => {
    const connector = connect({ silenceMs: 50, requestTimeoutMs: 1_000 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    let asked = 0;
    server.intercept = async ({ path }, response) => {
      if (!path.startsWith("/history")) return false;
      asked += 1;
      if (asked === 1) return true; // Never answered, and the next lookup does not wait for it.
      if (asked === 2) answer(response, { status: 200, json: [] });
      if (asked === 3) await delay(40);
      return asked === 2;
    };
    server.begin();
    server.end();
    await until(isType("unreachable"));
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(asked).toBe(3);
  });

  test("hours of silence are looked at, at a bounded rate, and do not end the watch", async () => {
    const connector = connect({ silenceMs: 20 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, events } = follow(connector, promptId);
    server.begin();
    await server.until(() => server.count("GET", "/queue") >= 25);
    expect(events.some(isType("settled"))).toBe(false);
    // Reopened less and less often: 25 looks would otherwise mean 25 sockets.
    expect(server.connections.length).toBeLessThan(10);
    await server.until(() => server.isRegistered(connector.clientId));
    server.end();
    await ended;
  });
});
