import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "@jest/globals";
import { readyMessageSchema } from "../src/index.ts";

const launcher = fileURLToPath(new URL("../src/launch/launch.mjs", import.meta.url));
const fixture = fileURLToPath(new URL("fixtures/service.ts", import.meta.url));
const children: ChildProcess[] = [];

function launch(
  behaviour: string,
  env: Record<string, string> = {},
): {
  child: ChildProcess;
  output: () => string;
  exited: Promise<unknown[]>;
} {
  const child = fork(launcher, [fixture, behaviour], {
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { PATH: process.env["PATH"], ...env },
  });
  children.push(child);
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return { child, output: () => output, exited: exitOf(child) };
}

/** Exit code and signal, once all output is there too (`close` never comes after a disconnect). */
async function exitOf(child: ChildProcess): Promise<unknown[]> {
  const outputs = [child.stdout, child.stderr].map((stream) => stream && once(stream, "end"));
  const [exit] = (await Promise.all([once(child, "exit"), ...outputs])) as [unknown[]];
  return exit;
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

describe("a service's process", () => {
  test("tells its parent that it is ready, and stops in order on SIGTERM", async () => {
    const { child, output, exited } = launch("works");
    const [message] = (await once(child, "message")) as [unknown];
    expect(readyMessageSchema.parse(message)).toEqual({
      type: "ready",
      service: "sample",
      details: { url: "http://127.0.0.1:1" },
    });
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    expect(output()).toContain("cleaned up");
  });

  test("stops in order when its parent is gone", async () => {
    const { child, output, exited } = launch("works");
    await once(child, "message");
    child.disconnect();
    expect(await exited).toEqual([0, null]);
    expect(output()).toContain("cleaned up");
  });

  test("stops also when nobody reads its output any more", async () => {
    const { child } = launch("hangs while starting", { LOG_LEVEL: "trace" });
    const exited = once(child, "exit");
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.disconnect();
    expect(await exited).toEqual([0, null]);
  });

  test("ends after a programming error also when nobody reads its output any more", async () => {
    const { child } = launch("throws later");
    await once(child, "message");
    const exited = once(child, "exit");
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.send("now");
    expect(await exited).toEqual([1, null]);
  });

  test("stops while it is still starting", async () => {
    const { child, output, exited } = launch("hangs while starting", { LOG_LEVEL: "trace" });
    child.disconnect();
    expect(await exited).toEqual([0, null]);
    expect(output()).toContain("stopped");
  });

  test("takes two signals at the same moment for one", async () => {
    const { child, output, exited } = launch("works");
    await once(child, "message");
    child.kill("SIGINT");
    child.kill("SIGINT");
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    expect(output()).toContain("cleaned up");
  });

  test("ends at once when it is asked again", async () => {
    const { child, output, exited } = launch("never stops");
    await once(child, "message");
    child.kill("SIGINT");
    const again = setInterval(() => child.kill("SIGINT"), 100);
    expect(await exited).toEqual([1, null]);
    clearInterval(again);
    expect(output()).toContain("ending at once");
    expect(output()).not.toContain("did not stop in time");
  });

  test.each(["throws later", "rejects later"])("logs and ends with 1 when it %s", async (behaviour) => {
    const { child, output, exited } = launch(behaviour);
    await once(child, "message");
    child.send("now");
    expect(await exited).toEqual([1, null]);
    expect(output()).toMatch(/"level":"fatal".*(a bug|a forgotten promise)/);
  });

  test("says why it could not start and ends with 1", async () => {
    const { output, exited } = launch("fails");
    expect(await exited).toEqual([1, null]);
    expect(output()).toContain("the disk is full");
  });

  test("explains a bad configuration without a stack trace", async () => {
    const { output, exited } = launch("works", { PORT: "none" });
    expect(await exited).toEqual([1, null]);
    expect(output()).toContain('PORT is "none"; accepted: a whole number');
    expect(output()).not.toContain("    at ");
  });
});
