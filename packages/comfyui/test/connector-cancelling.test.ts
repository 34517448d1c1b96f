import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { connect, follow, serveEachTest, server, workflow } from "./connector-under-test.ts";
import { answer } from "./scripted-comfyui.ts";

serveEachTest();

describe("cancelling", () => {
  test("a waiting prompt is deleted, and its watch ends as absent", async () => {
    const connector = connect();
    const [first, second] = [randomUUID(), randomUUID()];
    await connector.submit({ promptId: first, workflow });
    await connector.submit({ promptId: second, workflow });
    server.begin();
    const { ended } = follow(connector, second);
    await expect(connector.cancelPrompt(second)).resolves.toEqual({
      outcome: "deleted",
      lookup: { state: "absent", others: [first] },
    });
    expect((await ended).at(-1)).toEqual({ type: "settled", lookup: { state: "absent", others: [first] } });
    await expect(connector.lookup(first)).resolves.toEqual({ state: "running" });
    expect(server.count("POST", "/interrupt")).toBe(0);
  });

  test("a running prompt is interrupted by its id", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.begin();
    const { ended } = follow(connector, promptId);
    await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "interrupted" });
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "interrupted" } });
    const interrupts = server.requests.filter(({ path }) => path === "/interrupt");
    expect(interrupts.map(({ body }) => body)).toEqual([JSON.stringify({ prompt_id: promptId })]);
  });

  test("a prompt that starts between the look and the delete is interrupted after all", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.intercept = ({ method, path }) => {
      if (method === "POST" && path === "/queue") {
        server.begin();
        server.intercept = undefined;
      }
      return false;
    };
    await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "interrupted" });
  });

  test("success that comes first, a prompt that is nowhere, and a node that does not listen are told as such", async () => {
    const connector = connect();
    const [finished, stubborn] = [randomUUID(), randomUUID()];
    await connector.submit({ promptId: finished, workflow });
    server.begin();
    server.end();
    await expect(connector.cancelPrompt(finished)).resolves.toMatchObject({
      outcome: "too_late",
      lookup: { state: "finished" },
    });
    await expect(connector.cancelPrompt(randomUUID())).resolves.toMatchObject({ outcome: "absent" });
    await connector.submit({ promptId: stubborn, workflow });
    server.begin();
    server.intercept = ({ path }, response) => {
      if (path !== "/interrupt") return false;
      answer(response, { status: 200, text: "" });
      return true;
    };
    await expect(connector.cancelPrompt(stubborn, { timeoutMs: 100 })).resolves.toMatchObject({
      outcome: "pending",
      lookup: { state: "running" },
    });
  });

  test.each([401, 407, 302])(
    "an answer %i to the cancel route says that access is denied, and nothing about the route",
    async (status) => {
      server.hasCancelRoute = true;
      const connector = connect();
      const promptId = randomUUID();
      await connector.submit({ promptId, workflow });
      server.intercept = ({ path }, response) => {
        if (!path.startsWith("/api/jobs/")) return false;
        answer(response, { status, text: "Sign in, please." });
        return true;
      };
      const denied = { code: "access_denied", message: expect.not.stringContaining(promptId) };
      await expect(connector.cancelPrompt(promptId)).rejects.toMatchObject(denied);
      await expect(connector.probeAbilities()).rejects.toMatchObject({ code: "access_denied" });
      expect([server.count("POST", "/queue"), server.count("POST", "/interrupt")]).toEqual([0, 0]);
      server.intercept = undefined;
      await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "deleted" });
      expect(server.count("POST", "/queue")).toBe(0);
    },
  );

  test("a proxy that refuses only the cancel route leaves the older way", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.intercept = ({ path }, response) => {
      if (!path.startsWith("/api/jobs/")) return false;
      answer(response, { status: 403, text: "" });
      return true;
    };
    await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "deleted" });
    expect(server.count("POST", "/queue")).toBe(1);
    await expect(connector.probeAbilities()).resolves.toMatchObject({ cancelsById: false });
  });

  test("the cancel route of newer servers is asked for once, and used where it is", async () => {
    const older = connect();
    for (let prompt = 0; prompt < 2; prompt += 1) {
      const promptId = randomUUID();
      await older.submit({ promptId, workflow });
      await older.cancelPrompt(promptId);
    }
    expect(server.count("POST", "/api/jobs/")).toBe(1);
    expect(server.count("POST", "/queue")).toBe(2);
    server.hasCancelRoute = true;
    const newer = connect();
    const promptId = randomUUID();
    await newer.submit({ promptId, workflow });
    await expect(newer.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "deleted" });
    expect(server.count("POST", "/queue")).toBe(2);
  });

  test("the old way is gone where the new route finds nothing to cancel, or is out of order for a while", async () => {
    const connector = connect();
    server.hasCancelRoute = true;
    const answers = [
      { status: 502, text: "<html>" },
      { status: 200, json: { cancelled: false } },
    ];
    for (const reply of answers) {
      const promptId = randomUUID();
      await connector.submit({ promptId, workflow });
      server.intercept = (request, response) => {
        if (!request.path.endsWith("/cancel")) return false;
        answer(response, reply);
        return true;
      };
      await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "deleted" });
    }
    expect(server.count("POST", "/queue")).toBe(2);
    expect(server.count("POST", "/api/jobs/")).toBe(2);
  });
});
