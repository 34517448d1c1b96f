import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "@jest/globals";
import { SupervisedProcess } from "../src/services/supervised-process.ts";

const entry = fileURLToPath(new URL("fixtures/sample-service.ts", import.meta.url));
const never = new AbortController().signal;
const running: SupervisedProcess[] = [];

/** Lines said so far, and a way to wait for one. */
class Lines {
  readonly all: string[] = [];
  readonly #waiting: { text: string; resolve: () => void }[] = [];

  readonly add = (line: string): void => {
    this.all.push(line);
    for (const { text, resolve } of this.#waiting) if (line.includes(text)) resolve();
  };

  async until(text: string): Promise<void> {
    if (this.all.some((line) => line.includes(text))) return;
    await new Promise<void>((resolve) => this.#waiting.push({ text, resolve }));
  }
}

function supervise(behaviour = ""): { child: SupervisedProcess; reports: Lines; output: Lines } {
  const [reports, output] = [new Lines(), new Lines()];
  const child = new SupervisedProcess({
    name: "sample",
    entry,
    env: { PATH: process.env["PATH"], SAMPLE_BEHAVIOUR: behaviour },
    report: reports.add,
    onLine: output.add,
  });
  running.push(child);
  return { child, reports, output };
}

afterEach(async () => {
  for (const child of running.splice(0)) await child.stop(100);
});

describe("a supervised process", () => {
  test("is ready with its details, passes its lines on, and stops when asked", async () => {
    const { child, reports, output } = supervise();
    const { url } = await child.start(never);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(reports.all[0]).toMatch(/^sample ready at http:.* \(process \d+\) \d+\.\d s$/);
    await output.until("a line of its own");
    const pid = child.pid!;
    await child.stop(10_000);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    expect(reports.all).toHaveLength(1);
  });

  test("is started again when it is killed", async () => {
    const { child, reports } = supervise();
    await child.start(never);
    const killed = child.pid!;
    process.kill(killed, "SIGKILL");
    await reports.until("is back");
    expect(reports.all[1]).toBe("sample ended unexpectedly (SIGKILL); starting it again in 0.25 s");
    expect(reports.all[2]).toBe(`sample is back (process ${child.pid!})`);
    expect(child.pid).not.toBe(killed);
  });

  test("that cannot start says why, and is not tried again", async () => {
    const { child, reports } = supervise("cannot start");
    await expect(child.start(never)).rejects.toThrow(
      /sample did not start \(exit code 1\)[^]*the moon is full/,
    );
    expect(reports.all).toEqual([]);
  });

  test("that does not stop in time is killed", async () => {
    const { child } = supervise("never stops");
    await child.start(never);
    const pid = child.pid!;
    await child.stop(200);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  test("that is still starting ends with the start", async () => {
    const { child } = supervise();
    const stopping = new AbortController();
    const starting = child.start(stopping.signal);
    stopping.abort(new Error("asked to stop"));
    await expect(starting).rejects.toThrow("asked to stop");
    await child.stop(1000);
  });
});
