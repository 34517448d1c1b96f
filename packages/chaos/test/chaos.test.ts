import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Figures, runChaos, startServices, type SuiteServices } from "../src/index.ts";

// A short, fixed part of what `npm run chaos` does for hours. It has a Postgres and a Redis of its own, because it
// kills and empties them.

let services: SuiteServices;
let failureFolder: string;
const lines: string[] = [];
const report = (line: string): void => {
  lines.push(line);
};

beforeAll(async () => {
  failureFolder = await mkdtemp(join(tmpdir(), "genga-chaos-failures-"));
  services = await startServices(report);
}, 180_000);

afterAll(async () => {
  await services.stop();
}, 180_000);

const figures = new Figures();

describe("chaos", () => {
  test.each([
    [1, 2],
    [11, 1],
  ])(
    "seed %i keeps every promise for %i rounds",
    async (seed, rounds) => {
      const before = figures.rounds;
      const violations = await runChaos({
        ...{ seed, rounds, failureFolder, figures, report },
        services: await services.fresh(),
      });
      if (violations.length > 0) console.error(lines.join("\n"));
      expect(violations).toEqual([]);
      expect(figures.rounds).toBe(before + rounds);
      expect(figures.jobs).toBeGreaterThan(0);
      await rm(failureFolder, { recursive: true, force: true });
    },
    600_000,
  );

  test("every point at which a fault may happen was seen in those rounds", () => {
    expect(figures.jobs).toBeGreaterThan(0);
    expect(figures.unseenPoints).toEqual([]);
  });
});
