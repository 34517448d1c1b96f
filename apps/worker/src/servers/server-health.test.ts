import { describe, expect, test } from "@jest/globals";
import { healthLimits, ServerHealth, type HealthCheck } from "./server-health.ts";

const prompts = (ids: string[]): { promptId: string; number: number }[] =>
  ids.map((promptId, number) => ({ promptId, number }));
const answered = (running: string[], pending: string[], own: string[] = []): HealthCheck => ({
  kind: "answered",
  queue: { running: prompts(running), pending: prompts(pending) },
  ownPromptIds: new Set(own),
});
const silent: HealthCheck = { kind: "silent", reason: "connection refused" };

describe("a server's circuit", () => {
  test("closes at the first answer", () => {
    const health = new ServerHealth();
    expect(health.mayTakeJobs).toBe(false);
    health.noteCheck(answered([], []), 0);
    expect(health.state).toBe("online");
  });

  test("opens while the server is silent, and then allows one job at a time until one ended well", () => {
    const health = new ServerHealth();
    health.noteCheck(answered([], []), 0);
    health.noteCheck(silent, 1_000);
    health.noteCheck(silent, 4_000);
    expect([health.state, health.reason, health.silentMs(4_000)]).toEqual([
      "unreachable",
      "connection refused",
      3_000,
    ]);
    health.noteCheck(answered([], []), 5_000);
    expect(health.state).toBe("probing");
    health.noteJobEnded();
    expect([health.state, health.reason]).toEqual(["online", null]);
  });

  test("opens at once when the server does not stop a prompt, before the next check", () => {
    const health = new ServerHealth();
    health.noteCheck(answered(["a"], [], ["a"]), 0);
    health.noteStuck("a");
    expect([health.state, health.reason]).toEqual(["wedged", expect.stringContaining("prompt a")]);
    health.noteCheck(answered([], []), 1_000);
    expect(health.state).toBe("probing");
  });

  test("opens when prompts wait and nothing runs", () => {
    const health = new ServerHealth();
    health.noteCheck(answered([], ["a"]), 0);
    expect(health.state).toBe("online");
    health.noteCheck(answered([], ["a", "b"]), healthLimits.idleMs);
    expect([health.state, health.reason]).toEqual(["wedged", expect.stringContaining("starts none")]);
    health.noteCheck(answered(["a"], ["b"]), healthLimits.idleMs + 1);
    expect(health.state).toBe("probing");
  });

  test("opens when another client's prompt is at the front for too long, but not for one of Genga's", () => {
    const health = new ServerHealth();
    health.noteCheck(answered(["foreign"], ["mine"], ["mine"]), 0);
    health.noteCheck(answered(["foreign"], ["mine"], ["mine"]), healthLimits.stallMs - 1);
    expect(health.state).toBe("online");
    health.noteCheck(answered(["foreign"], ["mine"], ["mine"]), healthLimits.stallMs);
    expect([health.state, health.reason]).toEqual(["wedged", expect.stringContaining("foreign")]);

    const busy = new ServerHealth();
    busy.noteCheck(answered(["mine"], ["other"], ["mine"]), 0);
    busy.noteCheck(answered(["mine"], ["other"], ["mine"]), 10 * healthLimits.stallMs);
    expect(busy.state).toBe("online");
  });

  test("stays open for a prompt that the server does not stop, until the prompt is gone", () => {
    const health = new ServerHealth();
    health.noteCheck(answered(["a"], [], ["a"]), 0);
    health.noteStuck("a");
    health.noteCheck(answered(["a"], [], []), 1);
    expect([health.state, health.reason]).toEqual(["wedged", expect.stringContaining("prompt a")]);
    health.noteCheck(answered([], []), 2);
    expect(health.state).toBe("probing");
  });

  test("pauses the server after some jobs were lost on it and none succeeded between them, longer each time", () => {
    const health = new ServerHealth();
    health.noteCheck(answered([], []), 0);
    for (let failure = 1; failure < healthLimits.failuresMax; failure += 1) health.noteJobLost("HTTP 500", 0);
    expect(health.state).toBe("online");
    health.noteJobLost("HTTP 500", 0);
    const reason = "Jobs lost on it since one last ended well there: 3; lastly: HTTP 500";
    expect([health.state, health.reason]).toEqual(["failing", reason]);
    health.noteCheck(answered([], []), healthLimits.pauseMs - 1);
    expect(health.state).toBe("failing");
    health.noteCheck(answered([], []), healthLimits.pauseMs);
    expect(health.state).toBe("probing");
    health.noteJobLost("HTTP 500", healthLimits.pauseMs);
    health.noteCheck(answered([], []), 3 * healthLimits.pauseMs - 1);
    expect(health.state).toBe("failing");
    health.noteCheck(answered([], []), 3 * healthLimits.pauseMs);
    expect(health.state).toBe("probing");
  });

  test("a success in between resets the count", () => {
    const health = new ServerHealth();
    health.noteCheck(answered([], []), 0);
    for (let round = 0; round < 5; round += 1) {
      health.noteJobLost("reset", 0);
      health.noteJobLost("reset", 0);
      health.noteJobEnded();
    }
    expect(health.state).toBe("online");
  });
});
